"""``python -m nucleus_convert``."""

from nucleus_convert.cli import main

if __name__ == "__main__":
    main()

"""stub"""


def main() -> None:
    """Run."""

"""Where output goes: written beside the target under another name, moved into place when everything is right.

A failure, or Ctrl-C, leaves what was there before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nucleus_convert.converters import signals
from nucleus_convert.converters.errors import OutputExistsError, Where, WriteError


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise unless something may be written at ``target``.

    Raises:
        OutputExistsError: it exists and is not an empty folder, without ``overwrite``.
        WriteError: its folder does not exist or cannot be written.
    """
    if (target.exists() or target.is_symlink()) and not overwrite:
        empty = target.is_dir() and not any(target.iterdir())
        if not empty:
            raise OutputExistsError(
                "the target exists already", Where(file=str(target)), hint="choose another, or give --overwrite"
            )
    if overwrite and target.is_dir() and target.resolve() in (Path.cwd().resolve(), *Path.cwd().resolve().parents):
        raise WriteError(
            "refusing to overwrite the current folder or one above it",
            Where(file=str(target)),
            hint="name a folder of its own for the output",
        )
    parent = target.absolute().parent
    existing = parent
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise WriteError("cannot write here", Where(file=str(existing)), hint="choose a folder you may write to")


@contextmanager
def staging(target: Path, *, discard: bool = False) -> Iterator[Path]:
    """A temporary folder to write in: beside ``target``, so that moving is a rename; elsewhere when discarded.

    It is removed at the end, whatever happened; :func:`commit` moves what is wanted out of it first.
    """
    parent = target.absolute().parent
    missing = [above for above in (parent, *parent.parents) if not above.exists()]
    folder: Path | None = None
    try:
        with signals.undisturbed():
            folder = _make(parent, target.name, discard)
        yield folder
    finally:
        if folder is not None:
            with signals.undisturbed():
                shutil.rmtree(folder, ignore_errors=True)
                for above in missing:
                    with suppress(OSError):  # it holds the output
                        above.rmdir()


def _make(parent: Path, name: str, discard: bool) -> Path:
    try:
        if discard:
            return Path(tempfile.mkdtemp(prefix="nucleus-convert-"))
        parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".partial", dir=parent))
    except OSError as error:
        raise WriteError(
            f"cannot write here ({error.strerror})", Where(file=str(parent)), hint="choose a folder you may write to"
        ) from error


def commit(staged: Path, target: Path) -> None:
    """Move ``staged`` (a file or folder) to ``target``, replacing what is there; on failure put that back.

    Raises:
        WriteError: the move failed; the old target stands.
    """
    aside: Path | None = None
    try:
        if staged.is_dir() and not staged.is_symlink():
            # A folder made by mkdtemp is private; the result should have the permissions any new folder has.
            umask = os.umask(0)
            os.umask(umask)
            staged.chmod(0o777 & ~umask)
        if target.is_dir() and not target.is_symlink():
            aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.absolute().parent))
            target.replace(aside / target.name)
        staged.replace(target)
    except OSError as error:
        if aside is not None and not target.exists():
            with suppress(OSError):
                (aside / target.name).replace(target)
        raise WriteError(f"cannot move the output into place ({error.strerror})", Where(file=str(target))) from error
    finally:
        if aside is not None and target.exists():
            shutil.rmtree(aside, ignore_errors=True)

"""A source may be a file, a folder or a ``.zip``: this gives a path to read whichever it is.

A zip comes from anywhere, so nothing in it is believed: names may not leave the folder it is unpacked to,
links are refused, and what it claims to unpack to is checked before a byte is written.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec

from nucleus_convert.converters import signals
from nucleus_convert.converters.errors import ConvertError, MalformedFileError, ReadError, Where

MAX_FILES = 2_000_000
MAX_BYTES = 1 << 38
"""256 GiB unpacked."""
MAX_RATIO = 200
"""Unpacked to packed. Label files reach 20; a bomb starts at 1,000."""
RATIO_FROM = 1 << 26
"""Below 64 MiB unpacked any ratio is harmless."""
_LONGEST = 250
"""Characters of a name that are worth telling."""
_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db")


class Opened(msgspec.Struct, frozen=True):
    """A source that can be read.

    Attributes:
        path: the file or folder to read.
        name: what a person calls it: the path that was given.
        unpacked: the temporary folder a zip was unpacked to, or None.
    """

    path: Path
    name: str
    unpacked: Path | None = None

    def shown(self, text: str) -> str:
        """``text`` with the zip's name for the temporary folder's, so that reports are always the same."""
        if self.unpacked is None:
            return text
        return text.replace(str(self.unpacked), self.name)

    def explain(self, error: ConvertError) -> None:
        """Say the zip's name in an error, rather than the temporary folder's."""
        error.message = self.shown(error.message)
        error.where = self.place(error.where)

    def refusal(self, error: OSError) -> ReadError | None:
        """The error of what the system would not do with a file of the source; None if it was with another.

        It may not be read, a name in the data set is too long for the system, the disk is broken.
        """
        name = str(error.filename or "")
        if not name.startswith(str(self.path)):
            return None
        shown = self.shown(name)
        where = Where(file=shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…")
        return ReadError(f"cannot be read ({error.strerror})", where)

    def place(self, where: Where | None) -> Where | None:
        """``where`` with the zip's name in it, rather than the temporary folder's."""
        if where is None or where.file is None:
            return where
        return msgspec.structs.replace(where, file=self.shown(where.file))


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Yield a readable source; a zip is unpacked to a temporary folder that is removed at the end.

    One folder at the top of the zip is looked through, and so is a single file.

    Raises:
        ReadError: there is no such file, or the zip is not to be trusted.
        MalformedFileError: the zip is broken.
    """
    if not path.exists():
        raise ReadError("no such file or folder", Where(file=str(path)), hint="check the path")
    if path.suffix.lower() != ".zip" or path.is_dir():
        with _refusals(found := Opened(path, str(path))):
            yield found
        return
    folder: Path | None = None
    try:
        with signals.undisturbed():
            folder = Path(tempfile.mkdtemp(prefix="nucleus-convert-")).resolve()
        _unpack(path, folder)
        entries = list(folder.iterdir())
        with _refusals(found := Opened(entries[0] if len(entries) == 1 else folder, str(path), folder)):
            yield found
    finally:
        if folder is not None:
            with signals.undisturbed():
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _refusals(found: Opened) -> Iterator[None]:
    """Say what the system refused to do with the source as an error that a person can act on."""
    try:
        yield
    except OSError as error:
        refusal = found.refusal(error)
        if refusal is None:
            raise
        raise refusal from error


def _unpack(path: Path, folder: Path) -> None:
    where = Where(file=str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [
                info for info in archive.infolist() if not info.is_dir() and not _is_litter(info.filename)
            ]
            _check(entries, path.stat().st_size, shutil.disk_usage(folder).free, where)
            for info in entries:
                target = folder / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as packed, target.open("xb") as unpacked:
                    shutil.copyfileobj(packed, unpacked, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise MalformedFileError(
            f"the zip cannot be unpacked ({error})", where, hint="make it again"
        ) from error
    except RuntimeError as error:  # how zipfile says that a password is wanted
        raise ReadError(
            "the zip is encrypted", where, hint="unpack it yourself and give the folder"
        ) from error
    except OSError as error:
        raise ReadError(f"the zip cannot be unpacked ({error.strerror or error})", where) from error


def _is_litter(name: str) -> bool:
    return any(part in _LITTER for part in PurePosixPath(name).parts)


def _check(entries: list[zipfile.ZipInfo], packed: int, free: int, where: Where) -> None:
    if not entries:
        raise ReadError("the zip holds no files", where)
    if len(entries) > MAX_FILES:
        raise ReadError(f"the zip holds {len(entries):,} files, more than {MAX_FILES:,}", where)
    names: set[str] = set()
    for info in entries:
        _check_name(info, where)
        if info.filename in names:
            raise ReadError(f"the zip holds '{info.filename}' twice", where, hint="make it again")
        names.add(info.filename)
    # Entries may overlap in the file, each claiming the same bytes: only the file's own size is a fact.
    total = sum(info.file_size for info in entries)
    if total > MAX_BYTES or (total > RATIO_FROM and total > MAX_RATIO * packed):
        raise ReadError(
            f"the zip of {packed:,} bytes would unpack to {total:,}",
            where,
            hint="if that is right, unpack it yourself and give the folder",
        )
    if total > free:
        raise ReadError(
            f"no room to unpack {total:,} bytes",
            where,
            hint="set TMPDIR to a folder with room, or unpack it yourself",
        )


def _check_name(info: zipfile.ZipInfo, where: Where) -> None:
    name = info.filename
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in name.partition("/")[0]:
        raise ReadError(
            f"the zip's entry {name!r} leads out of its folder", where, hint="do not trust this file"
        )
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ReadError(
            f"the zip's entry {name!r} is a link or a device", where, hint="do not trust this file"
        )

"""Image files beside labels: their size from the header alone, finding them by name, putting them in place.

Pixels are never decoded. Names come from label files, which may come from anywhere: a name that would leave
the data set's folder is refused.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Literal, NamedTuple, TypeAlias

from nucleus_convert.converters import files
from nucleus_convert.converters.errors import (
    MalformedFileError,
    ReadError,
    SchemaError,
    UnrepresentableError,
    Where,
    WriteError,
)

Exif: TypeAlias = Literal["apply", "ignore"]
"""Whether an image that its EXIF orientation turns counts as seen (apply) or as stored (ignore)."""
Placing: TypeAlias = Literal["link", "copy", "none"]
"""How images come into an output: hard links (symbolic where these cannot be), copies, or not at all."""

SUFFIXES: Final = (
    ".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".jfif",
    ".ppm", ".avif", ".heic", ".mpo", ".dng", ".jp2", ".BMP", ".TIF", ".TIFF",
)  # fmt: skip
"""Suffixes of images, the most usual first."""
_LOWER: Final = frozenset(suffix.lower() for suffix in SUFFIXES)
_SOF: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers without a length
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_ORIENTATION: Final = 0x0112
_HEAD: Final = 4096  # bytes of a file that are looked at first
_MAX_SEGMENTS: Final = 4096


class ImageInfo(NamedTuple):
    """What an image's header says: its size as stored, in pixels, and its EXIF orientation (1: as stored)."""

    width: int
    height: int
    orientation: int = 1

    def size(self, exif: Exif = "apply") -> tuple[int, int]:
        """Width and height by the policy: orientations 5 to 8 show the image on its side."""
        turned = exif == "apply" and self.orientation >= 5
        return (self.height, self.width) if turned else (self.width, self.height)


# --- size ----------------------------------------------------------------------------------------------


def info(path: Path | str) -> ImageInfo:
    """Size and orientation of an image file, from its header.

    Raises:
        MalformedFileError: not an image, or its header is damaged.
        ReadError: it cannot be opened.
    """
    try:
        # One read: a data set has many images, and their headers are short.
        start = files.head(path, _HEAD)
        found = None
        if start[:2] == b"\xff\xd8":
            found = _jpeg(io.BytesIO(start))
            if found is None and len(start) == _HEAD:
                with open(path, "rb") as file:  # noqa: PTH123
                    found = _jpeg(file)
        elif start[:8] == _PNG and start[12:16] == b"IHDR" and len(start) >= 33:
            if len(start) < _HEAD or b"IDAT" in start:
                found = _png(start[:33], io.BytesIO(start))
            else:
                with open(path, "rb") as file:  # noqa: PTH123
                    found = _png(start[:33], file)
    except OSError as error:
        raise ReadError(f"the image cannot be read ({error.strerror})", Where(file=str(path))) from error
    if found is None:
        found = _by_pillow(Path(path))
    if found.width < 1 or found.height < 1:
        raise MalformedFileError("the image's header gives no size", Where(file=str(path)))
    return found


def _jpeg(file: BinaryIO) -> ImageInfo | None:
    """Walk the segments up to the frame header; None where that leads nowhere."""
    orientation = 1
    file.seek(2)
    for _ in range(_MAX_SEGMENTS):
        byte = file.read(1)
        while byte and byte != b"\xff":  # some writers pad between segments
            byte = file.read(1)
        while byte == b"\xff":
            byte = file.read(1)
        if not byte:
            return None
        marker = byte[0]
        if marker in _BARE:
            continue
        if marker in (0xD9, 0xDA):  # the pixels begin, and there was no frame header
            return None
        length = int.from_bytes(file.read(2), "big") - 2
        if length < 0:
            return None
        if marker in _SOF:
            frame = file.read(5)
            if len(frame) < 5:
                return None
            height, width = struct.unpack(">HH", frame[1:])
            # A height of 0 means that it follows the first scan (DNL): Pillow knows what to do.
            return ImageInfo(width, height, orientation) if height else None
        if marker == 0xE1 and orientation == 1:
            body = file.read(length)
            if body[:6] == b"Exif\0\0":
                orientation = _tiff_orientation(body[6:])
        else:
            file.seek(length, os.SEEK_CUR)
    return None


def _png(start: bytes, file: BinaryIO) -> ImageInfo:
    width, height = struct.unpack(">II", start[16:24])
    file.seek(33)
    return ImageInfo(width, height, _png_orientation(file))


def _png_orientation(file: BinaryIO) -> int:
    """The orientation of an eXIf chunk before the pixels."""
    for _ in range(_MAX_SEGMENTS):
        head = file.read(8)
        if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
            break
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf" and length < 1 << 20:
            return _tiff_orientation(file.read(length))
        file.seek(length + 4, os.SEEK_CUR)
    return 1


def _tiff_orientation(data: bytes) -> int:
    """The orientation in EXIF data; 1 where it says none, or nonsense."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    at = int.from_bytes(data[4:8], order)
    if len(data) < 8 or at + 2 > len(data):
        return 1
    count = int.from_bytes(data[at : at + 2], order)
    for i in range(min(count, 512)):
        entry = data[at + 2 + 12 * i : at + 14 + 12 * i]
        if len(entry) < 12:
            break
        if int.from_bytes(entry[:2], order) == _ORIENTATION:
            value = int.from_bytes(entry[8:10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def _by_pillow(path: Path) -> ImageInfo:
    from PIL import Image

    where = Where(file=str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
                orientation = 1
                # Pillow has turned a TIFF already, and would decode a PNG.
                if image.format not in ("TIFF", "PNG"):
                    with suppress(Exception):
                        value = image.getexif().get(_ORIENTATION, 1)
                        orientation = value if isinstance(value, int) and 1 <= value <= 8 else 1
                return ImageInfo(width, height, orientation)
    except Image.DecompressionBombError as error:
        raise MalformedFileError(f"the image claims an absurd size: {error}", where) from error
    except Exception as error:  # Pillow's plugins raise anything on damaged files
        raise MalformedFileError(
            "not an image that can be read, or its header is damaged", where, "open it in a viewer to see"
        ) from error


# --- names ---------------------------------------------------------------------------------------------


def is_image(name: str) -> bool:
    """Whether a file name ends as an image's does."""
    stem, dot, suffix = name.rpartition(".")
    return bool(stem) and dot + suffix.lower() in _LOWER


def inside(root: Path, name: str, where: Where | None = None) -> Path:
    """``root`` joined with a relative name out of a label file.

    Symbolic links within the root are followed when the file is opened: they are its owner's choice. The
    name, which may be anyone's, is not believed.

    Raises:
        SchemaError: the name is absolute, or leads out of the root.
    """
    return root / cleaned(name, where)


def cleaned(name: str, where: Where | None = None) -> str:
    """A relative name with slashes and without ``.``, safe to join to a folder.

    Raises:
        SchemaError: it is empty, absolute, or leads out of the folder that it is joined to.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    if not parts or path.is_absolute() or ".." in parts or "\0" in name or ":" in parts[0]:
        raise SchemaError(
            f"the name {name!r:.120} leads out of the data set's folder",
            where,
            "give a relative name inside it",
        )
    return "/".join(parts)


def find(folder: Path, stem: str) -> Path | None:
    """The image of that name (without suffix, perhaps with sub-folders) by the usual suffixes, or None."""
    base = f"{folder}{os.sep}{stem}"  # many calls: no Path for each try
    for suffix in SUFFIXES:
        if os.path.isfile(base + suffix):  # noqa: PTH113
            return Path(base + suffix)
    return None


# --- placing -------------------------------------------------------------------------------------------


def place(source: Path, target: Path, how: Placing) -> bool:
    """Put an image at ``target``, making its folder. Returns whether a file is there now.

    Args:
        source: the image.
        target: where it is to be; what is there already must be the same file.
        how: "link" makes a hard link, or a symbolic link on another disk, or a copy where neither can be.

    Raises:
        UnrepresentableError: another image is there already.
        WriteError: it cannot be linked or copied.
    """
    if how == "none":
        return False
    source = source.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if _same(source, target):
                return True
            raise UnrepresentableError(
                f"two images would be '{target.name}'",
                Where(file=str(source)),
                "give images names that differ, or leave them out with --images none",
            )
        if how == "link" and _link(source, target):
            return True
        shutil.copyfile(source, target)
    except OSError as error:
        raise WriteError(f"the image cannot be placed ({error.strerror})", Where(file=str(source))) from error
    return True


def _link(source: Path, target: Path) -> bool:
    with suppress(OSError, NotImplementedError):
        os.link(source, target)
        return True
    # A symbolic link into the folder that a zip was unpacked to would soon lead nowhere.
    if any(part.startswith("nucleus-convert-") for part in source.relative_to(source.anchor).parts) and (
        source.is_relative_to(Path(tempfile.gettempdir()).resolve())
    ):
        return False
    with suppress(OSError, NotImplementedError):
        target.symlink_to(source)
        return True
    return False


def _same(source: Path, target: Path) -> bool:
    """Whether two files are one, or hold the same bytes."""
    if source.samefile(target):
        return True
    if source.stat().st_size != target.stat().st_size:
        return False
    with source.open("rb") as a, target.open("rb") as b:
        while block := a.read(1 << 20):
            if b.read(1 << 20) != block:
                return False
    return True

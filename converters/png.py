"""Label pictures as PNG: reading what any tool wrote, writing small and fast, always the same bytes.

Knows pixels as arrays of shape (height, width) and nothing of masks, labels or formats. Palette pictures
are read as indices, not as colours: the number is the label, the colour is decoration.
"""

from __future__ import annotations

import functools
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from nucleus_convert.converters.errors import MalformedFileError, SchemaError, Where

try:  # three to five times as fast, and the same bytes: a test holds them against each other
    from zlib_ng import zlib_ng as deflate  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    deflate = zlib  # type: ignore[misc, unused-ignore]

_UNPACK_ERRORS: Final[tuple[type[Exception], ...]] = (zlib.error, deflate.error)  # type: ignore[assignment, unused-ignore]
BACKEND: Final[str] = deflate.__name__
"""The library that compresses: its name, for the curious."""

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS: Final = 2**27
"""Default limit on the pixels of a picture to decode (11585 x 11585). Pillow refuses above 178,956,970."""

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


class Header(NamedTuple):
    """What a PNG's first 33 bytes say. ``depth`` is bits a channel, ``colour`` is GREY to RGB_ALPHA."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool


# --- reading -------------------------------------------------------------------------------------------


def read_header(data: bytes, *, name: str | None = None) -> Header:
    """Parse the header from a PNG's first 33 bytes (more may be given), without looking at any pixel.

    Raises:
        MalformedFileError: not a PNG, or its header is damaged. ``name`` is the file named in the error.
    """
    where = Where(file=name)
    if data[:8] != SIGNATURE:
        found = _guess(data)
        raise MalformedFileError(
            f"not a PNG file{found}", where, "label masks must be PNG, exact to the pixel"
        )
    if len(data) < 33 or data[8:16] != b"\0\0\0\rIHDR":
        raise MalformedFileError("PNG header is cut short or missing", where)
    if zlib.crc32(data[12:29]) != int.from_bytes(data[29:33], "big"):
        raise MalformedFileError("PNG header is damaged (checksum)", where)
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", data[16:29])
    if not (0 < width < 2**31 and 0 < height < 2**31):
        raise MalformedFileError(f"PNG header gives the impossible size {width} x {height}", where)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise MalformedFileError("PNG header gives an unknown kind of picture", where)
    return Header(width, height, depth, colour, bool(interlace))


def png_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels of a PNG file, from its header alone.

    Raises:
        MalformedFileError: not a PNG.
        OSError: not readable.
    """
    with path.open("rb") as file:
        header = read_header(file.read(33), name=str(path))
    return header.height, header.width


def decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Decode a label picture to the numbers stored: grey levels as they are, palette indices.

    A colour picture is accepted where every pixel is an opaque grey, as tools that know no other kind
    write masks.

    Args:
        data: the whole file.
        max_pixels: a picture of more is refused before anything is allocated.
        name: the file, for errors.

    Returns:
        Shape (height, width), row-major, writable; uint16 for 16-bit grey, else uint8. Grey of 1, 2 and 4
        bits is not stretched: a 1-bit picture gives 0 and 1.

    Raises:
        MalformedFileError: not a PNG, or damaged.
        SchemaError: a picture in colours or partly transparent, or of more pixels than allowed.
    """
    header = _checked_header(data, max_pixels, name)
    if header.colour not in (GREY, PALETTE) and header.depth == 16:
        raise SchemaError(
            "PNG is 16-bit with colour or alpha; label masks are grey or palette", Where(file=name)
        )
    pixels = _pixels(data, header, name)
    if header.depth == 16:
        return pixels.astype(np.uint16)  # in this machine's byte order
    return _plain(pixels, header.colour, name)


def _plain(pixels: npt.NDArray[Any], colour: int, name: str | None) -> npt.NDArray[np.uint8]:
    """The one number for each pixel of 8-bit data as Pillow gives it."""
    if colour in (GREY, PALETTE):
        return np.array(pixels, np.uint8)
    alpha = pixels[:, :, -1] if colour in (GREY_ALPHA, RGB_ALPHA) else None
    if alpha is not None and (alpha != 255).any():
        raise SchemaError("PNG is partly transparent; which pixels are meant is not clear", Where(file=name))
    first = pixels[:, :, 0]
    if colour in (RGB, RGB_ALPHA) and any((pixels[:, :, other] != first).any() for other in (1, 2)):
        raise SchemaError(
            "PNG holds colours, not one number for each pixel",
            Where(file=name),
            "save it as grey or palette; if the colours are segment ids, it is a panoptic picture",
        )
    return np.array(first)


def decode_ids(
    data: bytes, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> npt.NDArray[np.uint32]:
    """Decode an RGB picture to R + 256 G + 65536 B: panoptic segment ids, or colours to look up.

    A palette picture gives the ids of its colours; alpha is ignored.

    Returns:
        Shape (height, width), row-major.

    Raises:
        MalformedFileError: not a PNG, or damaged.
        SchemaError: a grey or 16-bit picture, or more pixels than allowed.
    """
    header = _checked_header(data, max_pixels, name)
    if header.colour in (GREY, GREY_ALPHA) or header.depth == 16:
        raise SchemaError("PNG is not 8-bit RGB, which segment ids need", Where(file=name))
    pixels = _pixels(data, header, name, in_rgb=header.colour == PALETTE)
    ids = pixels[:, :, 2].astype(np.uint32)
    for channel in (1, 0):
        ids <<= 8
        ids |= pixels[:, :, channel]
    return ids


def _checked_header(data: bytes, max_pixels: int, name: str | None) -> Header:
    header = read_header(data[:33], name=name)
    if header.width * header.height > max_pixels:
        raise _too_large(header.height, header.width, max_pixels, name)
    return header


def _too_large(height: int, width: int, limit: int, name: str | None) -> SchemaError:
    return SchemaError(
        f"PNG of {height} x {width} (height x width) is more than {limit} pixels", Where(file=name)
    )


def _pixels(data: bytes, header: Header, name: str | None, *, in_rgb: bool = False) -> npt.NDArray[Any]:
    """The numbers stored, shape (height, width) or (height, width, channels), or a palette's colours.

    Pillow fills up with 0 what a cut or damaged file lacks, so the pixels' data are unpacked and checked here
    first; rows without filters, as label masks mostly have, then need no more.
    """
    raw = _unpack(data, header, name)
    if not header.interlaced and not in_rgb:
        rows = np.frombuffer(raw, np.uint8).reshape(header.height, -1)
        if not rows[:, 0].any():
            return _unfiltered(rows[:, 1:], header)
    del raw
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                pixels = np.asarray(image.convert("RGB") if in_rgb else image)
    except Image.DecompressionBombError as error:
        raise SchemaError(f"PNG is too large for Pillow: {error}", Where(file=name)) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise _damaged(str(error), name) from error
    if header.colour == GREY and header.depth < 8:
        # Pillow stretches levels to 0..255, but for one bit, where it gives False and True.
        return pixels.astype(np.uint8) if header.depth == 1 else pixels >> np.uint8(8 - header.depth)
    return pixels


def _unfiltered(rows: npt.NDArray[np.uint8], header: Header) -> npt.NDArray[Any]:
    """The numbers in rows of packed bytes."""
    if header.depth == 16:
        return np.ascontiguousarray(rows).view(">u2")
    if header.depth < 8:
        shifts = np.arange(8 - header.depth, -1, -header.depth, dtype=np.uint8)
        values = rows[:, :, np.newaxis] >> shifts & np.uint8(2**header.depth - 1)
        return values.reshape(header.height, -1)[:, : header.width]
    channels = _CHANNELS[header.colour]
    return rows if channels == 1 else rows.reshape(header.height, header.width, channels)


def _unpack(data: bytes, header: Header, name: str | None) -> bytes:
    """Unpack the pixels' bytes, rows with their filter bytes, and check that they are whole and right."""
    unpacker = deflate.decompressobj()
    expected = _raw_size(header)
    try:
        # One byte more than there should be, to reach the checksum behind them.
        raw = unpacker.decompress(b"".join(_image_data(data, name)), expected + 1)
    except _UNPACK_ERRORS as error:
        raise _damaged(str(error), name) from error
    if len(raw) < expected:
        raise _damaged(f"{expected - len(raw)} of {expected} bytes of pixels are missing", name)
    if not unpacker.eof and len(raw) == expected:
        raise _damaged("the pixels' checksum is missing", name)
    return bytes(raw[:expected])


def _image_data(data: bytes, name: str | None) -> Iterator[bytes]:
    """The bodies of the chunks that hold pixels."""
    view = memoryview(data)
    at = 33
    while at + 12 <= len(data):
        size, kind = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        if kind == b"IEND":
            return
        end = at + 8 + size
        if kind == b"IDAT":
            if end + 4 > len(data):
                raise _damaged("it is cut short", name)
            if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
                raise _damaged("the checksum of its pixels is wrong", name)
            yield data[at + 8 : end]
        at = end + 4


def _raw_size(header: Header) -> int:
    """Number of bytes of all rows, each with its filter byte."""
    bits = header.depth * _CHANNELS[header.colour]
    passes = _ADAM7 if header.interlaced else ((0, 0, 1, 1),)
    total = 0
    for top, left, down, across in passes:
        rows, columns = -(-(header.height - top) // down), -(-(header.width - left) // across)
        if rows > 0 and columns > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _damaged(detail: str, name: str | None) -> MalformedFileError:
    return MalformedFileError(f"PNG cannot be decoded: {detail}", Where(file=name))


def _guess(data: bytes) -> str:
    for start, kind in (
        (b"\xff\xd8", "JPEG"),
        (b"GIF8", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
    ):
        if data.startswith(start):
            return f" but {kind}"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return " but WebP"
    return "" if data else ": it is empty"


# --- writing -------------------------------------------------------------------------------------------


def encode(pixels: npt.NDArray[np.uint8], *, palette: bytes | None = None) -> bytes:
    """Encode a label picture as an 8-bit, single-channel PNG.

    Args:
        pixels: shape (height, width), in either memory order.
        palette: colours ``r, g, b, …`` of the indices from 0; without, the picture is grey.

    Raises:
        ValueError: not a 2-D uint8 array of at least one pixel, or an index has no colour.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or not pixels.size:
        raise ValueError("pixels must be a 2-D uint8 array of at least one pixel")
    if palette is None:
        return _file(pixels[:, :, np.newaxis], GREY, b"")
    if len(palette) % 3 or not 0 < len(palette) <= 768 or int(pixels.max()) >= len(palette) // 3:
        raise ValueError(f"a palette of {len(palette)} bytes does not give every index three")
    return _file(pixels[:, :, np.newaxis], PALETTE, _chunk(b"PLTE", palette))


def margins(first: int, last: int, height: int) -> tuple[int, int]:
    """How many rows :func:`encode_lines` takes to be blank above and below ``first`` to ``last``, which are not."""
    return first // _BAND * _BAND, max(0, height - 1 - last) // _BAND * _BAND


def encode_lines(lines: bytes | bytearray | memoryview, height: int, width: int, above: int, below: int) -> bytes:
    """Encode a grey picture by its rows as they stand in the file: the bytes that :func:`encode` gives for it, sooner.

    Args:
        lines: a row after the other, each of a byte of 0 and one for each pixel; without the margins.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        above: rows of 0 that come before the lines, as :func:`margins` has them.
        below: rows of 0 that come behind them.

    Raises:
        ValueError: lines and margins do not make up the picture.
    """
    if width < 1 or not above + below < height or memoryview(lines).nbytes != (height - above - below) * (width + 1):
        raise ValueError(f"{memoryview(lines).nbytes} bytes are not {height} x {width}, {above} and {below} rows blank")
    return _assembled(height, width, GREY, b"", _packed(lines, width + 1, above, below))


def encode_deep(pixels: npt.NDArray[np.uint16]) -> bytes:
    """Encode a label picture as a 16-bit grey PNG, for numbers above 255 as KITTI's instances have.

    Raises:
        ValueError: not a 2-D uint16 array of at least one pixel.
    """
    if pixels.dtype != np.uint16 or pixels.ndim != 2 or not pixels.size:
        raise ValueError("pixels must be a 2-D uint16 array of at least one pixel")
    channels = np.ascontiguousarray(pixels, dtype=">u2").view(np.uint8).reshape(*pixels.shape, 2)
    return _file(channels, GREY, b"", depth=16)


def encode_ids(ids: npt.NDArray[np.integer[Any]]) -> bytes:
    """Encode segment ids as a panoptic 8-bit RGB PNG: R = id mod 256, G = id / 256 mod 256, B = id / 65536.

    Raises:
        ValueError: not a 2-D array of at least one pixel, or an id is not from 0 to 2^24 - 1.
    """
    if ids.ndim != 2 or not ids.size:
        raise ValueError("ids must be a 2-D array of at least one pixel")
    if int(ids.min()) < 0 or int(ids.max()) >= 2**24:
        raise ValueError("a segment id is not from 0 to 2^24 - 1, all that three bytes hold")
    channels = np.ascontiguousarray(ids, dtype="<u4").view(np.uint8).reshape(*ids.shape, 4)[:, :, :3]
    return _file(channels, RGB, b"")


def _file(pixels: npt.NDArray[np.uint8], colour: int, palette: bytes, *, depth: int = 8) -> bytes:
    height, width, channels = pixels.shape
    filled = np.flatnonzero(pixels.any(axis=(1, 2)))
    first, last = (int(filled[0]), int(filled[-1])) if len(filled) else (height, height)
    above, below = margins(first, last, height)
    rows = np.zeros((height - above - below, width * channels + 1), np.uint8)
    rows[:, 1:].reshape(len(rows), width, channels)[...] = pixels[above : height - below]
    return _assembled(height, width, colour, palette, _packed(rows.data, rows.shape[1], above, below), depth)


def _assembled(height: int, width: int, colour: int, palette: bytes, body: bytes, depth: int = 8) -> bytes:
    return b"".join((_header(height, width, depth, colour), palette, _chunk(b"IDAT", body), _END))


@functools.lru_cache(maxsize=4096)
def _header(height: int, width: int, depth: int, colour: int) -> bytes:
    return SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return b"".join(
        (len(body).to_bytes(4, "big"), kind, body, zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big"))
    )


_END = _chunk(b"IEND", b"")
_BAND = 16  # rows: blank margins are cut in whole bands, so that few different lengths of them occur


def _packed(lines: bytes | bytearray | memoryview, stride: int, above: int, below: int) -> bytes:
    """The zlib stream of a picture, each row unfiltered: its rows with their filter bytes, blank ones around them.

    A row takes ``stride`` bytes.

    Label pictures are long stretches of one value, which run-length matches (Z_RLE) find sooner, and no
    filter makes shorter. Margins of 0 above and below are not compressed again each time: their stretch of
    the stream is kept, and joins the rest at a byte boundary.
    """
    packer = deflate.compressobj(1, zlib.DEFLATED, -15, 8, zlib.Z_RLE)
    body = packer.compress(lines) + packer.flush(zlib.Z_SYNC_FLUSH)
    # Of n zeros, Adler-32's sum stays and its sum of sums grows n times by it.
    check = deflate.adler32(lines, (above * stride % 65521) << 16 | 1)
    high, low = check >> 16, check & 0xFFFF
    check = (high + below * stride * low) % 65521 << 16 | low
    return b"".join(
        (
            b"\x78\x01",
            _zeros(above * stride),
            body,
            _zeros(below * stride),
            b"\x03\x00",  # an empty last block
            check.to_bytes(4, "big"),
        )
    )


@functools.lru_cache(maxsize=4096)
def _zeros(count: int) -> bytes:
    """A stretch of a deflate stream that stands for so many bytes of 0, ending at a byte boundary."""
    if not count:
        return b""
    packer = deflate.compressobj(1, zlib.DEFLATED, -15, 8, zlib.Z_RLE)
    return bytes(packer.compress(bytes(count)) + packer.flush(zlib.Z_SYNC_FLUSH))

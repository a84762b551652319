"""Point clouds: velodyne ``.bin`` to Nucleus's JSON and back, as streams. Knows files, and nothing of the model.

- ``.bin``: little-endian float32, x, y, z and reflectance of each point, 16 bytes; metres, x forward, y left, z up.
- Nucleus's JSON: ``{"device_position"?, "device_heading"?, "timestamp"?, "points": [{"x", "y", "z", "i"?}, …]}``, z up,
  ``i`` the intensity from 0 to 1.

Numbers are written with the fewest digits that give the same float32 again, as its ``repr`` has them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where

Points: TypeAlias = npt.NDArray[np.float32]
"""Shape (n, 4): x, y, z in metres, intensity."""

MAX_POINTS: Final = 1 << 26
"""Default limit on the points of a cloud (1 GiB as ``.bin``)."""
MAX_JSON_BYTES: Final = 1 << 31
_CHUNK: Final = 1 << 15
_RECORD: Final = 16


class Converted(NamedTuple):
    """What became of a cloud.

    Attributes:
        points: how many were written.
        left_out: how many were not, because a coordinate is not finite.
        without_intensity: how many of those written have an intensity that is not finite, and so have none.
        divisor: what intensities were divided by to lie in 0 to 1: 1, 255 or 65535; None: they lie in no known
            range, and no point has one.
    """

    points: int
    left_out: int = 0
    without_intensity: int = 0
    divisor: int | None = 1


class Device(NamedTuple):
    """Where the lidar was: position in metres, heading quaternion (w, x, y, z) in the world, time in seconds."""

    position: tuple[float, float, float] | None = None
    heading: tuple[float, float, float, float] | None = None
    timestamp: float | None = None


# --- .bin ----------------------------------------------------------------------------------------------


def count(path: Path, *, max_points: int = MAX_POINTS, name: str | None = None) -> int:
    """The number of points of a ``.bin`` file, by its size.

    Raises:
        ReadError: it cannot be opened.
        MalformedFileError: its size is no multiple of 16 bytes, or it has more points than allowed.
    """
    where = Where(file=str(path) if name is None else name)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ReadError(f"the point cloud cannot be read ({error.strerror})", where) from error
    if size % _RECORD:
        raise MalformedFileError(
            f"the point cloud has {size:,} bytes, not a multiple of {_RECORD} (x, y, z and reflectance as float32)",
            where,
            "it is cut short, or its points have other fields",
        )
    if size // _RECORD > max_points:
        raise MalformedFileError(f"the point cloud has {size // _RECORD:,} points, more than {max_points:,}", where)
    return size // _RECORD


def read_bin(path: Path, *, max_points: int = MAX_POINTS, name: str | None = None) -> Iterator[Points]:
    """The points of a ``.bin`` file in chunks, each of shape (n, 4). Raises as :func:`count`."""
    left = count(path, max_points=max_points, name=name)
    where = Where(file=str(path) if name is None else name)
    try:
        with path.open("rb") as file:
            while left:
                data = file.read(min(left, _CHUNK) * _RECORD)
                if not data or len(data) % _RECORD:
                    raise MalformedFileError("the point cloud became shorter while it was read", where)
                left -= len(data) // _RECORD
                yield np.frombuffer(data, "<f4").reshape(-1, 4)
    except OSError as error:
        raise ReadError(f"the point cloud cannot be read ({error.strerror})", where) from error


def write_bin(points: Points, target: Path) -> None:
    """Write points, shape (n, 4), as a ``.bin`` file."""
    target.write_bytes(np.ascontiguousarray(points, dtype="<f4").tobytes())


# --- .bin to JSON --------------------------------------------------------------------------------------


def convert_cloud(
    source: Path,
    target: Path,
    *,
    device: Device | None = None,
    max_points: int = MAX_POINTS,
    name: str | None = None,
) -> Converted:
    """Write a ``.bin`` file's points as Nucleus's JSON, a chunk at a time.

    Intensities up to 1 stay as they are; up to 255, or up to 65535, they are divided by that.

    Args:
        source: the ``.bin`` file.
        target: the file to write.
        device: where the lidar was, if that is known.
        max_points: more are refused before anything is read.
        name: what to call the source in errors; by default, its path.

    Raises:
        ReadError: the source cannot be opened.
        MalformedFileError: its size is no multiple of 16, or it has more points than allowed.
        OSError: the target cannot be written.
    """
    divisor = _divisor(read_bin(source, max_points=max_points, name=name))
    with target.open("wb") as file:
        return _write_json(read_bin(source, max_points=max_points, name=name), file, device or Device(), divisor)


def _divisor(chunks: Iterator[Points]) -> int | None:
    low, high = 0.0, 0.0
    for points in chunks:
        intensity = points[:, 3]
        if not np.isfinite(intensity).all():
            intensity = intensity[np.isfinite(intensity)]
        low = min(low, float(intensity.min(initial=0)))
        high = max(high, float(intensity.max(initial=0)))
    return next((limit for limit in (1, 255, 65535) if low >= 0 and high <= limit), None)


def _write_json(chunks: Iterator[Points], file: BinaryIO, device: Device, divisor: int | None) -> Converted:
    texts = _Texts()
    written = left_out = bare = 0
    first = True
    file.write(b"{" + _device(device) + b'"points":[')
    for chunk in chunks:
        points = chunk
        kept = np.isfinite(points[:, :3]).all(axis=1)
        if not kept.all():
            points = points[kept]
            left_out += len(chunk) - len(points)
        if not len(points):
            continue
        if divisor is None:
            points = points.copy()
            points[:, 3] = np.nan
        elif divisor > 1:
            points = points.copy()
            points[:, 3] /= np.float32(divisor)
        text, without = texts.of(points)
        # Each point's text ends with a comma: the last one's is left out.
        file.write(text[:-1] if first else b"," + text[:-1])
        first = False
        written += len(points)
        bare += without
    file.write(b"]}")
    return Converted(written, left_out, 0 if divisor is None else bare, divisor)


def _device(device: Device) -> bytes:
    said: dict[str, Any] = {}
    if device.position is not None:
        said["device_position"] = dict(zip("xyz", device.position, strict=True))
    if device.heading is not None:
        said["device_heading"] = dict(zip("wxyz", device.heading, strict=True))
    if device.timestamp is not None:
        said["timestamp"] = device.timestamp
    return msgspec.json.encode(said)[1:-1] + b"," if said else b""


class _Full(msgspec.Struct, gc=False):
    x: float
    y: float
    z: float
    i: float


class _Bare(msgspec.Struct, gc=False):
    x: float
    y: float
    z: float


_NUMBER = [("sign", "u1"), ("whole", "u4"), ("rest", "u4")]
_ROW: Final = np.dtype([
    ("x=", "S5"), ("x", _NUMBER), ("y=", "S5"), ("y", _NUMBER), ("z=", "S5"), ("z", _NUMBER),
    ("i=", "S5"), ("i", _NUMBER), ("end", "S2"),
])  # fmt: skip
"""The text of a point in columns, filled up with NUL: of a number its sign, four digits, the point and three digits."""


@functools.cache
def _tables() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Texts of 0 to 9999 and of .0 to .999, each of at most four characters, as the numbers that their bytes make."""
    whole = [str(number) for number in range(10_000)]
    rest = [f"{number / 1000:.3f}".rstrip("0")[1:].ljust(2, "0") for number in range(1000)]
    return np.array(whole, "S4").view(np.uint32), np.array(rest, "S4").view(np.uint32)


class _Texts:
    """Points as text. Lidars give millimetres, which need no float's digits to be searched: they are looked up."""

    def __init__(self) -> None:
        self.encoder = msgspec.json.Encoder()
        self.rows: npt.NDArray[np.void] | None = None

    def of(self, points: Points) -> tuple[bytes, int]:
        """The JSON objects of points with finite coordinates, a comma behind each; how many have no intensity."""
        exact = points.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            thousandths = np.rint(exact * 1000)
            whole = (thousandths / 1000).astype(np.float32) == points
        if whole.all() and np.abs(thousandths).max() < 10_000_000:
            return self._looked_up(points, thousandths.astype(np.int32)), 0
        return self._searched(points)

    def _looked_up(self, points: Points, thousandths: npt.NDArray[np.int32]) -> bytes:
        size = len(points)
        if self.rows is None:
            self.rows = np.zeros(_CHUNK, _ROW)
            for name, text in (("x=", b'{"x":'), ("y=", b',"y":'), ("z=", b',"z":'), ("i=", b',"i":'), ("end", b"},")):
                self.rows[name] = text
        rows = self.rows[:size]
        whole, rest = _tables()
        magnitude = np.abs(thousandths)
        wholes = magnitude // 1000
        rests = magnitude - 1000 * wholes
        signs = np.signbit(points).view(np.uint8) * np.uint8(ord("-"))
        for column, name in enumerate("xyzi"):
            into = rows[name]
            into["sign"] = signs[:, column]
            into["whole"] = whole[wholes[:, column]]
            into["rest"] = rest[rests[:, column]]
        return rows.tobytes().translate(None, b"\0")

    def _searched(self, points: Points) -> tuple[bytes, int]:
        x, y, z, i = (shortest(points[:, column]).tolist() for column in range(4))
        bare = sum(map(math.isnan, i))
        if not bare:
            return self.encoder.encode(list(map(_Full, x, y, z, i)))[1:-1] + b",", 0
        objects = [
            _Bare(across, aside, up) if math.isnan(value) else _Full(across, aside, up, value)
            for across, aside, up, value in zip(x, y, z, i, strict=True)
        ]
        return self.encoder.encode(objects)[1:-1] + b",", bare


def shortest(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Float64 numbers whose shortest text is that of the float32 given: 0.1 for float32's 0.1, not 0.10000000149.

    Among decimals of equally few digits that round to the float32, it is the nearest to it. Between 1e-12 and 1e22,
    that is; beyond, digits may be more, and the float32 is the same.
    """
    found = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        finite = np.flatnonzero(np.isfinite(np.log10(np.abs(found))))
    # More digits are never worse: one look at 6 spares most numbers, which are short or have them all, the others.
    short = _rounded(values[finite], 6)[1]
    for left, tried in ((finite[short], range(1, 7)), (finite[~short], range(7, 10))):
        for digits in tried:
            rounded, right = _rounded(values[left], digits)
            found[left[right]] = rounded[right]
            left = left[~right]
    return found


def _rounded(values: npt.NDArray[np.float32], digits: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Finite numbers, not 0, rounded to some significant digits, and whether they are the same float32 still."""
    exact = values.astype(np.float64)
    places = digits - 1 - np.floor(np.log10(np.abs(exact)))
    # Powers of ten are exact up to the 22nd: then this is the nearest float64 to the decimal.
    power = 10.0 ** np.abs(places)
    rounded = np.where(places >= 0, np.rint(exact * power) / power, np.rint(exact / power) * power)
    with np.errstate(over="ignore"):
        return rounded, rounded.astype(np.float32) == values


# --- JSON to .bin --------------------------------------------------------------------------------------


class _Point(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    x: float
    y: float
    z: float
    i: float = math.nan


class _Cloud(msgspec.Struct):
    points: list[_Point]
    device_position: Any = None
    device_heading: Any = None
    timestamp: float | None = None


class Loaded(NamedTuple):
    """A cloud from JSON: points of shape (n, 4), intensity NaN where there is none, and where the lidar was."""

    points: Points
    device: Device


def read_json(path: Path, *, name: str | None = None) -> Loaded:
    """Read Nucleus's JSON.

    Raises:
        ReadError: it cannot be opened.
        MalformedFileError: it is no JSON, or larger than 2 GiB.
        SchemaError: a point has no x, y or z, another key, or a value that is no number a float32 holds.
    """
    where = Where(file=str(path) if name is None else name)
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise MalformedFileError(f"the point cloud has more than {MAX_JSON_BYTES:,} bytes", where)
        cloud = msgspec.json.decode(path.read_bytes(), type=_Cloud)
    except OSError as error:
        raise ReadError(f"the point cloud cannot be read ({error.strerror})", where) from error
    except msgspec.ValidationError as error:
        raise SchemaError(
            f"the point cloud is not as it should be: {error}", where, 'points are {"x", "y", "z", "i"?}'
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFileError(f"the point cloud is no JSON: {error}", where) from error
    table = np.array([(point.x, point.y, point.z, point.i) for point in cloud.points], np.float64).reshape(-1, 4)
    if (np.abs(table) > float(np.finfo(np.float32).max)).any():
        raise SchemaError("the point cloud has a number beyond what a float32 holds", where)
    return Loaded(table.astype(np.float32), _read_device(cloud, where))


def _read_device(cloud: _Cloud, where: Where) -> Device:
    try:
        position = None if cloud.device_position is None else msgspec.convert(cloud.device_position, dict[str, float])
        heading = None if cloud.device_heading is None else msgspec.convert(cloud.device_heading, dict[str, float])
        return Device(
            None if position is None else (position["x"], position["y"], position["z"]),
            None if heading is None else (heading["w"], heading["x"], heading["y"], heading["z"]),
            cloud.timestamp,
        )
    except (msgspec.ValidationError, KeyError) as error:
        raise SchemaError(f"the lidar's position or heading is not as it should be: {error}", where) from error

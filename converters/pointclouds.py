"""Point clouds: velodyne ``.bin`` to Nucleus's JSON and back, as streams. Knows files, and nothing of the model.

- ``.bin``: little-endian float32, x, y, z and reflectance of each point, 16 bytes; metres, x forward, y left, z up.
- Nucleus's JSON: ``{"device_position"?, "device_heading"?, "timestamp"?, "points": [{"x", "y", "z", "i"?}, …]}``, z up,
  ``i`` the intensity from 0 to 1.

How a number is written is :mod:`nucleus_convert.converters.pointtext`'s business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
import numpy as np

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.converters.pointtext import CHUNK, Points, PointText

MAX_POINTS: Final = 1 << 26
"""Default limit on the points of a cloud (1 GiB as ``.bin``)."""
MAX_JSON_BYTES: Final = 1 << 31
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
                data = file.read(min(left, CHUNK) * _RECORD)
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
    texts = PointText()
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

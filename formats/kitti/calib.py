"""KITTI calibration files: of the object and the tracking benchmark, and the three files of a raw drive's day.

A line is a key and numbers, row by row; tracking files have no colon after the key and other names for the same
matrices. Rotations are unitless, translations in metres, projections in pixels. The equations, in homogeneous points:

    pixel of camera i = P_i * R0 * Tr * lidar point
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from nucleus_convert.converters.errors import MalformedFileError, SchemaError, Where
from nucleus_convert.formats.kitti.texts import NOT_FINITE, NUMBER
from nucleus_convert.formats.kitti.texts import load as load_text

Matrix: TypeAlias = tuple[tuple[float, ...], ...]
"""Rows of numbers."""

MAX_BYTES: Final = 1 << 20
LARGEST: Final = 1e9
"""Beyond this no number of a calibration is meant."""
RAW_FILES: Final = ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt", "calib_imu_to_velo.txt")

_PROJECTION = re.compile(r"P(\d)", re.ASCII)
_TR = re.compile(r"Tr(?:_velo_(?:to_)?cam(?:_(\d))?)?", re.ASCII)
_R0 = frozenset({"R0_rect", "R_rect"})
_IMU = frozenset({"Tr_imu_to_velo", "Tr_imu_velo"})
_SINGULAR: Final = 1e-9


class Calibration(msgspec.Struct, frozen=True):
    """The lines of a calibration file.

    Attributes:
        numbers: key as it is written -> its numbers, in the file's order.
        texts: key -> what follows it, for lines that are not only numbers.
        colons: whether keys are followed by a colon (object and raw) or not (tracking).
    """

    numbers: Mapping[str, tuple[float, ...]]
    texts: Mapping[str, str] = msgspec.field(default_factory=dict)
    colons: bool = True

    def projection(self, camera: int = 2) -> Matrix | None:
        """P of the camera, 3 x 4: from the rectified camera-0 frame (metres) to pixels. None: the file has none."""
        found = self.numbers.get(f"P{camera}")
        return None if found is None else _rows(found, 3, 4)

    def r0(self) -> Matrix | None:
        """R0, 3 x 3: from the unrectified to the rectified camera-0 frame. None: the file has none."""
        found = next((self.numbers[key] for key in self.numbers if key in _R0), None)
        return None if found is None else _rows(found, 3, 3)

    def tr(self, camera: int = 2) -> Matrix | None:
        """Tr, 3 x 4: from the lidar to the unrectified camera-0 frame, metres. None: the file has none.

        Where files converted from Waymo's have one for each camera, the camera's own.
        """
        own: tuple[float, ...] | None = None
        common: tuple[float, ...] | None = None
        for key, values in self.numbers.items():
            match = _TR.fullmatch(key)
            if match is not None and match[1] is None:
                common = values
            elif match is not None and int(match[1]) == camera:
                own = values
        found = own or common
        return None if found is None else _rows(found, 3, 4)

    def missing(self, camera: int = 2) -> list[str]:
        """The keys that placing boxes in the lidar frame and the camera needs, by their names in object files."""
        wanted = {f"P{camera}": self.projection(camera), "R0_rect": self.r0(), "Tr_velo_to_cam": self.tr(camera)}
        return [key for key, value in wanted.items() if value is None]


def made(
    projections: Mapping[int, Matrix],
    r0: Matrix | None,
    tr: Matrix | None,
    *,
    imu: Matrix | None = None,
    tracking: bool = False,
) -> Calibration:
    """A calibration in the words of the object benchmark, or of the tracking benchmark."""
    names = ("R_rect", "Tr_velo_cam", "Tr_imu_velo") if tracking else ("R0_rect", "Tr_velo_to_cam", "Tr_imu_to_velo")
    numbers = {f"P{camera}": _flat(matrix) for camera, matrix in sorted(projections.items())}
    numbers |= {name: _flat(matrix) for name, matrix in zip(names, (r0, tr, imu), strict=True) if matrix is not None}
    return Calibration(numbers, colons=not tracking)


# --- reading -------------------------------------------------------------------------------------------


def load(path: Path, name: str | None = None) -> Calibration:
    """Read a calibration file of the object or the tracking benchmark.

    Args:
        path: the file.
        name: what to call it in errors; by default, the path.

    Raises:
        ReadError: it cannot be opened.
        MalformedFileError: it is no text, or larger than a calibration can be.
        SchemaError: see :func:`parse`.
    """
    name = str(path) if name is None else name
    return parse(load_text(path, MAX_BYTES, "the calibration", name=name), name)


def parse(text: str, name: str | None = None) -> Calibration:
    """Read the text of a calibration file.

    Raises:
        MalformedFileError: it is no text.
        SchemaError: a matrix that is known by its key has letters, numbers that are not finite or the wrong count of
            them, is singular or a mirror; or a key stands twice with other numbers. With file and line.
    """
    if "\0" in text:
        raise MalformedFileError("the file is no text", Where(file=name), "is it a calibration file?")
    numbers: dict[str, tuple[float, ...]] = {}
    texts: dict[str, str] = {}
    colons: list[bool] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        where = Where(file=name, line=number)
        key, colon, glued = words[0].partition(":")
        words[:1] = [glued] if glued else []
        if words[:1] == [":"]:
            colon = words.pop(0)
        if not key:
            raise SchemaError("a line without a key", where, "expected 'P2: ' and twelve numbers, for example")
        matrix = _is_matrix(key)
        if not matrix and not (words and all(NUMBER.fullmatch(word) for word in words)):
            texts[key] = " ".join(words)
            continue
        values = tuple(_number(word, key, where) for word in words)
        if matrix:
            values = _checked(key, values, where)
        if numbers.setdefault(key, values) != values:
            raise SchemaError(f"{key} stands twice, with other numbers", where, "keep the one that is right")
        colons.append(bool(colon))
    return Calibration(numbers, texts, not colons or any(colons))


def load_raw(folder: Path) -> Calibration:
    """Read the calibration of a raw drive's day as one of the object benchmark: P0 to P3, R0_rect, the two Tr.

    Files that are not there leave their keys out.

    Args:
        folder: the day's folder, with ``calib_cam_to_cam.txt``, ``calib_velo_to_cam.txt``, ``calib_imu_to_velo.txt``.

    Raises:
        ReadError: a file cannot be opened.
        MalformedFileError: a file is no text.
        SchemaError: as :func:`parse`; or a file has R without T, or T without R.
    """
    numbers: dict[str, tuple[float, ...]] = {}
    cameras, lidar, imu = (folder / name for name in RAW_FILES)
    if cameras.is_file():
        said = load(cameras).numbers
        for camera in range(10):
            if (projection := said.get(f"P_rect_{camera:02d}")) is not None:
                numbers[f"P{camera}"] = projection
        if (r0 := said.get("R_rect_00")) is not None:
            numbers["R0_rect"] = r0
    for path, key in ((lidar, "Tr_velo_to_cam"), (imu, "Tr_imu_to_velo")):
        if not path.is_file():
            continue
        said = load(path).numbers
        turn, shift = said.get("R"), said.get("T")
        if turn is None or shift is None:
            absent = " and ".join(name for name, value in (("R", turn), ("T", shift)) if value is None)
            raise SchemaError(f"the file has no {absent}", Where(file=str(path)), "get it from the raw data again")
        numbers[key] = tuple(value for i in range(3) for value in (*turn[3 * i : 3 * i + 3], shift[i]))
    return Calibration(numbers)


def _number(word: str, key: str, where: Where) -> float:
    value = float(word) if NUMBER.fullmatch(word) else math.nan
    if math.isfinite(value):
        return value
    what = "a number that is not finite" if NUMBER.fullmatch(word) or NOT_FINITE.fullmatch(word) else "no number"
    raise SchemaError(f"{key} has {what}: {word!r:.40}", where, "a calibration is made of finite numbers")


# --- matrices ------------------------------------------------------------------------------------------


def _is_matrix(key: str) -> bool:
    return (
        key in _R0
        or key in _IMU
        or key in ("R", "T")
        or _PROJECTION.fullmatch(key) is not None
        or _TR.fullmatch(key) is not None
        or re.fullmatch(r"(?:P|R)_rect_\d\d", key) is not None
    )


def _checked(key: str, values: tuple[float, ...], where: Where) -> tuple[float, ...]:
    """The numbers of a known matrix, if they are as many as it has and it is not singular."""
    if (largest := max(map(abs, values), default=0)) > LARGEST:
        raise SchemaError(f"{key} has the number {largest:g}, beyond {LARGEST:g}", where)
    if key == "T":
        _count(key, values, (3,), where)
        return values
    wide = key[0] == "P" or key.startswith("Tr")
    _count(key, values, (12, 16) if wide else (9, 12, 16), where)
    square = _rows(values, 3, 3)
    if key in _R0 and len(values) > 9 and any(values[i] for i in (3, 7, 11)):
        raise SchemaError(f"{key} has a translation, which a rotation cannot have", where)
    # Relative to the rows' lengths: 1 for a rotation, about 0.5 for a projection.
    sizes = math.prod(math.hypot(*row) for row in square)
    volume = _determinant(square)
    if not sizes or abs(volume) <= _SINGULAR * sizes:
        raise SchemaError(
            f"{key} is singular: points cannot be brought back through it", where, "the calibration is damaged"
        )
    if volume < 0 and key[0] != "P":
        raise SchemaError(f"{key} mirrors, which no rotation does: one of its axes is turned the wrong way", where)
    return values


def _count(key: str, values: tuple[float, ...], counts: tuple[int, ...], where: Where) -> None:
    if len(values) not in counts:
        raise SchemaError(f"{key} has {len(values)} numbers, not {counts[0]}", where, "numbers stand row by row")
    if len(values) == 16 and values[12:] != (0, 0, 0, 1):
        raise SchemaError(f"{key} is 4 x 4, and its last row is not 0 0 0 1", where)


def _rows(values: tuple[float, ...], height: int, width: int) -> Matrix:
    """The upper left ``height`` x ``width`` of 9 (3 x 3), 12 (3 x 4) or 16 (4 x 4) numbers."""
    stride = 3 if len(values) == 9 else 4
    return tuple(values[stride * row : stride * row + width] for row in range(height))


def _flat(matrix: Matrix) -> tuple[float, ...]:
    return tuple(value for row in matrix for value in row)


def _determinant(m: Matrix) -> float:
    return (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    )


# --- writing -------------------------------------------------------------------------------------------


def dump(calibration: Calibration) -> str:
    """The text of a calibration file, numbers in KITTI's own form (``7.215377000000e+02``) where that is exact."""
    colon = ":" if calibration.colons else ""
    lines = [f"{key}{colon} {text}\n" for key, text in calibration.texts.items()]
    lines += [f"{key}{colon} {' '.join(map(_written, values))}\n" for key, values in calibration.numbers.items()]
    return "".join(lines)


def _written(value: float) -> str:
    text = f"{value:.12e}"
    return text if float(text) == value else repr(float(value))

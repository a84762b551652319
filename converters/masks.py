"""Run-length masks: strings, runs, arrays, boxes, and the trips between them. Knows no file format's records.

A mask is a list of *runs*: the lengths of alternating stretches of unset and set pixels, beginning with
unset (so the first run is 0 where the first pixel is set). Unless a name says ``row_major``, pixels are
taken column by column, top to bottom, as COCO does: the pixel in column ``c`` and row ``r`` is number
``c * height + r``. Heights come before widths throughout, as in a COCO ``size``.

Runs are numpy ``int64`` arrays here; the model keeps them as COCO's compressed string (``counts``).

``_runs.c`` does the most of it several times as fast and is used where it was built; without a compiler at installation
all works just as well, only slower. What it has no answer to, numpy finds out, and says what is wrong.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from nucleus_convert.converters.errors import SchemaError, Where

Runs: TypeAlias = npt.NDArray[np.int64]
Bitmap: TypeAlias = npt.NDArray[np.uint8]

HARD_MAX_PIXELS = 2**31 - 1
"""No mask may have more pixels than this, whatever a caller allows: pycocotools counts them in 32 bits."""

MAX_ARRAY_PIXELS = 2**28
"""Default for what may be laid out one byte a pixel (16384 x 16384)."""

_MAX_COUNT = 2**32 - 1
_MAX_PACKED = 2**24  # pycocotools reserves 6 bytes a run, writes up to 7, and one more at the end
_MAX_GROUPS = 7  # 35 bits: the difference of two 32-bit counts, its sign, and no more

_SIZE_HINT = "COCO sizes are [height, width]"


def _compiled() -> Any:
    try:
        return importlib.import_module("nucleus_convert.converters._runs")
    except ImportError:
        return None


quick = _compiled()
"""The compiled module, or None."""


# --- strings -------------------------------------------------------------------------------------------


def decode_counts(counts: str | bytes, *, where: Where | None = None) -> Runs:
    """Decode a COCO compressed string into runs.

    The string's groups of five bits need not be the shortest possible, and runs may be 0: whether the mask
    is in normal form is another question (``is_canonical``).

    Args:
        counts: the string, ASCII 48 to 111.
        where: for the error.

    Returns:
        The runs as int64, each from 0 to 2^32 - 1. An empty string gives no runs.

    Raises:
        SchemaError: a character outside the alphabet, a group cut short, or a run out of range.
    """
    if quick is not None and (made := quick.from_text(counts)) is not None:
        return np.frombuffer(made, np.int64)
    try:
        data = counts.encode("ascii") if isinstance(counts, str) else bytes(counts)
    except UnicodeEncodeError:
        raise _bad_character(counts, where) from None
    if not data:
        return np.zeros(0, np.int64)
    digits = np.frombuffer(data, np.uint8) - np.uint8(48)  # wraps round below '0': caught by the next test
    if digits.max() > 63:
        raise _bad_character(counts, where)
    last = np.flatnonzero(digits < 32)  # the group's last digit has bit 5 clear
    if not len(last) or last[-1] != len(digits) - 1:
        raise SchemaError(
            "RLE counts end in the middle of a number", where, "the string was cut short; export it again"
        )
    if len(last) == len(digits):  # every number fits one digit
        values = digits.astype(np.int64)
        values -= (values & 16) << 1
    else:
        first = np.empty_like(last)
        first[0] = 0
        first[1:] = last[:-1] + 1
        size = last - first + 1
        if size.max() > _MAX_GROUPS:
            raise SchemaError("RLE counts hold a number of more than 35 bits", where)
        place = np.arange(len(digits)) - np.repeat(first, size)
        values = np.add.reduceat((digits & 31).astype(np.int64) << (5 * place), first)
        values -= (digits[last] & 16).astype(np.int64) << (5 * size - 4)
    # From the fourth on, a number is the difference to the count two before it.
    np.cumsum(values[1::2], out=values[1::2])
    np.cumsum(values[2::2], out=values[2::2])
    if values.min() < 0 or values.max() > _MAX_COUNT:
        raise SchemaError("RLE counts decode to a run below 0 or above 2^32 - 1", where)
    return values


def encode_counts(runs: Runs | Sequence[int], *, where: Where | None = None) -> str:
    """Encode runs as COCO's compressed string, character for character as pycocotools does.

    Raises:
        SchemaError: a run is not a whole number from 0 to 2^32 - 1.
    """
    if quick is not None and (made := quick.to_text(runs)) is not None:
        return str(made)
    values = as_runs(runs, where=where)
    if not len(values):
        return ""
    if values.max() >= _MAX_PACKED:
        return _encode_long(values)
    packed = coco_mask.frPyObjects({"size": [1, 1], "counts": values}, 1, 1)
    return str(packed["counts"], "ascii")


def is_usual(counts: str, runs: Runs) -> bool:
    """Whether a compressed string is the one that :func:`encode_counts` makes of its runs, and those are canonical."""
    return is_canonical(runs) and encode_counts(runs) == counts


def _encode_long(runs: Runs) -> str:
    """Encode runs of any length; slower."""
    values = runs.copy()
    values[3:] -= runs[1:-2]
    size = np.ones_like(values)
    for bits in range(4, 5 * _MAX_GROUPS - 1, 5):  # n groups hold numbers from -2^(5n - 1) to 2^(5n - 1) - 1
        size += (values >> bits != 0) & (values >> bits != -1)
    last = np.cumsum(size) - 1
    place = np.arange(last[-1] + 1) - np.repeat(last + 1 - size, size)
    digits = (np.repeat(values, size) >> 5 * place & 31) | 32
    digits[last] &= 31
    return str((digits + 48).astype(np.uint8).tobytes(), "ascii")


def as_runs(runs: Runs | Sequence[int], *, where: Where | None = None) -> Runs:
    """Check runs given as numbers (a COCO count list) and return them as an int64 array.

    Raises:
        SchemaError: not a flat list of whole numbers from 0 to 2^32 - 1.
    """
    if isinstance(runs, np.ndarray) and runs.dtype == np.int64 and runs.ndim == 1:
        values = runs
    elif quick is not None and (made := quick.from_list(runs)) is not None:
        return np.frombuffer(made, np.int64)
    elif (plain := _integers(runs)) is not None:
        values = plain
    else:
        try:
            raw = np.asarray(runs)
        except (ValueError, OverflowError):
            raise SchemaError("RLE counts must be a flat list of whole numbers", where) from None
        if raw.size == 0:
            return np.zeros(0, np.int64)
        integral = raw.dtype.kind in "iu" or (raw.dtype.kind == "f" and bool((raw == np.floor(raw)).all()))
        if raw.ndim != 1 or not integral:
            raise SchemaError("RLE counts must be a flat list of whole numbers", where)
        if raw.max() > _MAX_COUNT:
            raise SchemaError("RLE counts hold a run above 2^32 - 1", where)
        values = raw.astype(np.int64)
    # Seen as unsigned, what is below 0 is above all else.
    if len(values) and np.maximum.reduce(values.view(np.uint64)) > _MAX_COUNT:
        raise SchemaError("RLE counts hold a run below 0 or above 2^32 - 1", where)
    return values


def _integers(runs: Any) -> Runs | None:
    """A list of nothing but ints that are no runs too long, as an array; None for anything else."""
    if type(runs) is not list or set(map(type, runs)) != {int} or max(runs) > _MAX_COUNT:
        return None
    try:
        return np.array(runs, np.int64)
    except OverflowError:  # below what 64 bits hold
        return None


def _bad_character(counts: str | bytes, where: Where | None) -> SchemaError:
    text = counts if isinstance(counts, str) else counts.decode("latin-1")
    bad = next((c for c in text if not "0" <= c <= "o"), "?")
    return SchemaError(
        f"RLE counts hold the character {bad!r}; only ASCII '0' to 'o' can occur",
        where,
        "is the text escaped twice, or is it another encoding (base64, a count list as text)?",
    )


# --- checks --------------------------------------------------------------------------------------------


def check_size(
    height: int, width: int, *, max_pixels: int = HARD_MAX_PIXELS, where: Where | None = None
) -> None:
    """Raise SchemaError unless a mask of this size, in pixels, is one to work with (1 to ``max_pixels``)."""
    if height < 1 or width < 1:
        raise SchemaError(f"mask size {height} x {width} (height x width) is empty", where, _SIZE_HINT)
    limit = min(max_pixels, HARD_MAX_PIXELS)
    if height * width > limit:
        raise SchemaError(
            f"mask size {height} x {width} (height x width) is more than {limit} pixels", where, _SIZE_HINT
        )


def check_runs(
    runs: Runs,
    height: int,
    width: int,
    *,
    max_pixels: int = HARD_MAX_PIXELS,
    where: Where | None = None,
) -> None:
    """Raise SchemaError unless the runs cover exactly ``height * width`` pixels. Allocates nothing."""
    check_size(height, width, max_pixels=max_pixels, where=where)
    total = None if quick is None else quick.total(runs)
    if total is None:
        total = int(runs.sum())
    if total != height * width:
        raise SchemaError(
            f"RLE counts cover {total} pixels, size {height} x {width} has {height * width}",
            where,
            "the counts were cut short or belong to an image of another size",
        )


def read_counts(
    counts: str | bytes | Sequence[int],
    height: int,
    width: int,
    *,
    max_pixels: int = HARD_MAX_PIXELS,
    where: Where | None = None,
) -> Runs:
    """Runs of a COCO ``counts`` value, compressed or a list, checked against the size. Order: column-major.

    Raises:
        SchemaError: see ``decode_counts``, ``as_runs`` and ``check_runs``.
    """
    if isinstance(counts, str | bytes):
        runs = decode_counts(counts, where=where)
    else:
        runs = as_runs(counts, where=where)
    check_runs(runs, height, width, max_pixels=max_pixels, where=where)
    return runs


# --- normal form ---------------------------------------------------------------------------------------


def is_canonical(runs: Runs) -> bool:
    """Whether only the first run may be 0, so that the same pixels always give the same runs."""
    if quick is not None and (said := quick.is_canonical(runs)) is not None:
        return bool(said)
    return len(runs) > 0 and bool((runs[1:] > 0).all())


def canonical(runs: Runs) -> Runs:
    """Merge away runs of 0 after the first: the same pixels, in the form pycocotools' ``encode`` gives."""
    if is_canonical(runs):
        return runs
    kept = np.flatnonzero(runs)
    if not len(kept):
        return np.zeros(1, np.int64)
    odd = kept & 1
    starts = np.flatnonzero(np.diff(odd, prepend=-1))
    merged = np.add.reduceat(runs[kept], starts)
    return np.concatenate([np.zeros(1, np.int64), merged]) if odd[0] else merged


# --- arrays --------------------------------------------------------------------------------------------


def to_array(
    runs: Runs,
    height: int,
    width: int,
    *,
    max_pixels: int = MAX_ARRAY_PIXELS,
    where: Where | None = None,
) -> Bitmap:
    """Lay runs out as an array of 0 and 1, shape (height, width), column-major in memory.

    Raises:
        SchemaError: the runs do not fit the size, or the size is over ``max_pixels``.
    """
    check_runs(runs, height, width, max_pixels=max_pixels, where=where)
    return expand(runs).reshape(width, height).T


def expand(runs: Runs) -> Bitmap:
    """Repeat 0, 1, 0, … by the runs: the pixels in the runs' own order. Unchecked."""
    values = np.zeros(len(runs), np.uint8)
    values[1::2] = 1
    return values.repeat(runs)


def from_array(mask: npt.NDArray[np.generic]) -> Runs:
    """Canonical runs of a 2-D array; every value but 0 (or False) counts as set. Order: column-major."""
    height, width = mask.shape
    return _runs_of_flat((mask != 0).T.reshape(-1)) if height and width else np.zeros(1, np.int64)


def _runs_of_flat(flat: npt.NDArray[np.bool_]) -> Runs:
    """Canonical runs of a flat boolean array of at least one element."""
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    head = [0, 0] if flat[0] else [0]
    return np.diff(np.concatenate([head, changes, [len(flat)]]))


def patch(runs: Runs, height: int) -> tuple[int, int, Bitmap]:
    """What is set, cut out: column and row of its first pixel, and the pixels of its tight box as 0 and 1.

    Args:
        runs: column-major, of the whole image.
        height: of the image, in pixels.

    Returns:
        Left, top, and an array of shape (rows, columns), column-major in memory; empty if nothing is set.
    """
    runs = canonical(runs)
    left, top, box_width, box_height = box(runs, height)
    if not box_width:
        return 0, 0, np.zeros((0, 0), np.uint8)
    # The runs of the box's columns alone: the first and the last stretch of unset pixels grow shorter.
    columns = np.zeros(len(runs) // 2 * 2 + 1, np.int64)
    columns[:-1] = runs[: len(columns) - 1]
    columns[0] -= left * height
    columns[-1] = box_width * height - int(np.add.reduce(columns))
    return left, top, expand(columns).reshape(box_width, height)[:, top : top + box_height].T


def scanlines(runs: Runs, height: int, width: int, above: int, below: int) -> bytearray | memoryview:
    """The rows of the image one after the other, a byte of 0 or 1 for each pixel and a 0 before each row.

    Args:
        runs: column-major, of the whole image.
        height: of the image, in pixels.
        width: of the image, in pixels.
        above: rows at the top to leave out, in which nothing is set.
        below: rows at the bottom to leave out, in which nothing is set.

    Raises:
        ValueError: the runs do not fit the size, or something is set in the rows to leave out.
    """
    if quick is not None and (made := quick.scanlines(runs, height, width, above, below)) is not None:
        packed: bytearray = made
        return packed
    _, top, _, rows = box(runs, height)
    if int(runs.sum()) != height * width or (rows and not above <= top <= height - below - rows):
        raise ValueError(f"the runs are not of {height} x {width} pixels, {above} and {below} rows of them blank")
    left, top, pixels = patch(runs, height)
    rows, columns = pixels.shape
    lines = np.zeros((height - above - below, width + 1), np.uint8)
    lines[top - above : top - above + rows, left + 1 : left + 1 + columns] = pixels
    return lines.reshape(-1).data


# --- measures ------------------------------------------------------------------------------------------


def area(runs: Runs) -> int:
    """Number of set pixels."""
    return int(runs[1::2].sum())


def box(runs: Runs, height: int) -> tuple[int, int, int, int]:
    """Tight box (x, y, width, height) of the set pixels, in pixels; (0, 0, 0, 0) if none is set."""
    if quick is not None and (made := quick.box(runs, height)) is not None:
        x, y, box_width, box_height = made
        return x, y, box_width, box_height
    starts, ends = spans(runs)
    if not len(starts):
        return 0, 0, 0, 0
    left, top = np.divmod(starts, height)
    right, bottom = np.divmod(ends - 1, height)
    x, x_end = int(left[0]), int(right[-1]) + 1
    if (left != right).any():  # a run that goes on in the next column touches the bottom and the top
        return x, 0, x_end - x, height
    y = int(top.min())
    return x, y, x_end - x, int(bottom.max()) + 1 - y


def spans(runs: Runs) -> tuple[Runs, Runs]:
    """Positions (first, one past the last) of each stretch of set pixels, without empty ones."""
    edges = np.cumsum(runs)
    ends = edges[1::2]
    starts = edges[0:-1:2]
    filled = ends > starts
    return (starts, ends) if filled.all() else (starts[filled], ends[filled])


def from_spans(starts: Runs, ends: Runs, total: int) -> Runs:
    """Canonical runs of ``total`` pixels from sorted, disjoint stretches; touching ones are joined."""
    if not len(starts):
        return np.array([total], np.int64)
    apart = np.flatnonzero(starts[1:] != ends[:-1])
    edges = np.empty(2 * len(apart) + 4, np.int64)
    edges[0] = 0
    edges[1] = starts[0]
    edges[2:-2:2] = ends[:-1][apart]
    edges[3:-2:2] = starts[1:][apart]
    edges[-2] = ends[-1]
    edges[-1] = total
    runs = np.diff(edges)
    return runs if runs[-1] else runs[:-1]


# --- set operations ------------------------------------------------------------------------------------


def union(masks: Sequence[str], height: int, width: int) -> str:
    """Union of compressed masks of one size, compressed. Their counts must have been checked.

    Raises:
        ValueError: no masks.
    """
    if not masks:
        raise ValueError("union of no masks")
    merged = coco_mask.merge([{"size": [height, width], "counts": counts} for counts in masks])
    return str(merged["counts"], "ascii")


def iou(first: str, second: str, height: int, width: int) -> float:
    """Intersection over union of two compressed masks of one size; 1.0 if both are empty."""
    size = [height, width]
    a, b = {"size": size, "counts": first}, {"size": size, "counts": second}
    if not coco_mask.area(a) and not coco_mask.area(b):
        return 1.0
    return float(coco_mask.iou([a], [b], [False])[0, 0])


# --- row-major rectangles (CVAT) -----------------------------------------------------------------------


def from_row_major(
    runs: Runs,
    left: int,
    top: int,
    width: int,
    height: int,
    *,
    image_height: int,
    image_width: int,
    max_pixels: int = MAX_ARRAY_PIXELS,
    where: Where | None = None,
) -> Runs:
    """Column-major runs of a whole image from row-major runs of a rectangle in it.

    Only the rectangle is laid out, never the image. What lies outside the image is cut off.

    Args:
        runs: row-major in the rectangle, the first counting unset pixels.
        left: column of the rectangle's first pixel; may be negative.
        top: row of the rectangle's first pixel; may be negative.
        width: of the rectangle, in pixels.
        height: of the rectangle, in pixels.
        image_height: of the image, in pixels.
        image_width: of the image, in pixels.
        max_pixels: size of rectangle above which nothing is allocated.
        where: for the error.

    Raises:
        SchemaError: the runs do not cover the rectangle, or a size is empty or too large.
    """
    check_size(image_height, image_width, where=where)
    check_runs(runs, height, width, max_pixels=max_pixels, where=where)
    if quick is not None:
        made = quick.from_row_major(runs, left, top, width, height, image_height, image_width)
        if made is not None:
            return np.frombuffer(made, np.int64)
    rectangle = expand(runs).reshape(height, width)
    rectangle = rectangle[
        max(0, -top) : max(0, image_height - top), max(0, -left) : max(0, image_width - left)
    ]
    left, top = max(left, 0), max(top, 0)
    rows, columns = rectangle.shape
    padded = np.zeros((columns, rows + 1), np.bool_)  # an unset row at the end of each column parts them
    padded[:, :rows] = rectangle.T
    flat = padded.reshape(-1)
    edges = np.flatnonzero(np.diff(flat, prepend=False))

    starts, ends = edges[0::2], edges[1::2]  # each pair within one column, thanks to the padding
    shift = (starts // (rows + 1)) * (image_height - rows - 1) + left * image_height + top
    return from_spans(starts + shift, ends + shift, image_height * image_width)


def to_row_major(runs: Runs, height: int) -> tuple[int, int, int, int, Runs]:
    """The mask's tight rectangle (left, top, width, height) and its row-major runs; all 0 and none if unset.

    Args:
        runs: column-major, of the whole image.
        height: of the image, in pixels.
    """
    left, top, rectangle = patch(runs, height)
    if not rectangle.size:
        return 0, 0, 0, 0, np.zeros(0, np.int64)
    box_height, box_width = rectangle.shape
    return left, top, box_width, box_height, _runs_of_flat(rectangle.reshape(-1).astype(np.bool_))

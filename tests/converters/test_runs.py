"""The compiled half of ``masks`` held against numpy's: the same answers, the same errors, for anything given."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as oracle

from nucleus_convert.converters import masks
from nucleus_convert.converters.errors import SchemaError

COMPILED = masks.quick
STABLE = settings(deadline=None, derandomize=True, database=None, max_examples=300)
pytestmark = pytest.mark.skipif(COMPILED is None, reason="the compiled module was not built: there is no other half")

SHORT = st.integers(0, 6)
ANY_RUN = st.one_of(SHORT, st.integers(0, 2**32 - 1), st.sampled_from([2**24 - 1, 2**24, 2**31, 2**32 - 1]))
ODD = st.one_of(
    ANY_RUN,
    st.sampled_from(
        [-1, 2**32, 2**63, -(2**63), 2**64, 10**40, True, None, 1.0, 1.5, float("nan"), "1", [1], np.int64(3)]
    ),
)


def told(function: Any, *arguments: Any) -> Any:
    """What a function gives, or the type and the words of its error."""
    try:
        made = function(*arguments)
    except (SchemaError, ValueError) as error:
        return type(error), str(error)
    return (made.dtype, made.tolist()) if isinstance(made, np.ndarray) else made


def both(function: Any, *arguments: Any) -> Any:
    """What both halves give, which is the same and leaves what was given as it was."""
    before = copy.deepcopy(arguments)
    answers = []
    for masks.quick in (None, COMPILED):
        answers.append(told(function, *arguments))
    assert answers[0] == answers[1]
    for mine, theirs in zip(before, arguments, strict=True):
        np.testing.assert_equal(mine, theirs)
    return answers[1]


@pytest.fixture(autouse=True)
def _back() -> Any:
    yield
    masks.quick = COMPILED


@STABLE
@given(st.lists(ANY_RUN, max_size=12) | st.lists(ODD, max_size=4) | st.tuples(SHORT, SHORT) | st.just({}))
def test_lists_of_runs(runs: Any) -> None:
    both(masks.as_runs, runs)
    both(masks.encode_counts, runs)


@STABLE
@given(st.lists(ANY_RUN, max_size=12))
def test_arrays_of_runs(runs: list[int]) -> None:
    values = np.array(runs, np.int64)
    text = both(masks.encode_counts, values)
    assert both(masks.decode_counts, text) == (np.int64, runs)
    both(masks.is_canonical, values)
    both(masks.is_usual, text, values)
    for height in (1, 2, 3, 7, 2**31 - 1):
        both(masks.box, values, height)


@STABLE
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | SHORT, max_size=6))
def test_arrays_of_what_are_no_runs(values: list[int]) -> None:
    both(masks.encode_counts, np.array(values, np.int64))
    both(masks.is_canonical, np.array(values, np.int64))


@STABLE
@given(st.text(st.characters(min_codepoint=46, max_codepoint=113), max_size=24) | st.text(max_size=4))
def test_any_text(text: str) -> None:
    both(masks.decode_counts, text)
    both(masks.decode_counts, text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.uint64, np.float64, ">i8"])
def test_arrays_of_other_numbers(kind: Any) -> None:
    values = np.array([3, 2, 1, 2, 4], kind)
    assert both(masks.encode_counts, values) == "32103"


def test_arrays_with_gaps() -> None:
    values = np.array([3, 99, 2, 99, 1, 99, 2, 99, 4, 99], np.int64)[::2]
    assert both(masks.encode_counts, values) == "32103"
    assert both(masks.box, values, 3) == (1, 0, 2, 2)
    assert both(masks.is_canonical, values)
    assert both(masks.is_canonical, values[::-1])


@st.composite
def pictures(draw: Any) -> tuple[Any, int, int]:
    """Runs that fill a small picture, with runs of 0 among them, and its height and width."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 24))
    runs: list[int] = []
    left = height * width
    for run in draw(st.lists(st.integers(0, 5) | st.integers(0, 100), max_size=80)):
        runs.append(min(left, run))
        left -= runs[-1]
    if left:
        runs.append(left)
    return np.array(runs, np.int64), height, width


@STABLE
@given(pictures(), st.data())
def test_scanlines(picture: Any, data: Any) -> None:
    runs, height, width = picture
    pixels = oracle.decode(oracle.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width))
    above, below = data.draw(st.integers(0, height)), data.draw(st.integers(0, height))
    if above + below <= height:
        blank = not pixels[:above].any() and not pixels[height - below :].any()
        found = both(masks.scanlines, runs, height, width, above, below)
        if blank:
            assert bytes(found) == np.pad(pixels[above : height - below], ((0, 0), (1, 0))).tobytes()
        else:
            assert found[0] is ValueError
    x, y, columns, rows = both(masks.box, runs, height)
    assert [x, y, columns, rows] == oracle.toBbox(oracle.encode(np.asfortranarray(pixels))).tolist()
    assert masks.scanlines(runs, height, width, y, height - y - rows) is not None


@pytest.mark.parametrize("runs", [[3, 3], [3, 7], [], [0, 2**32], [0, 9, 9], [9, 0, 0, 1]])
def test_scanlines_of_runs_that_do_not_fit(runs: list[int]) -> None:
    kind, text = both(masks.scanlines, np.array(runs, np.int64), 3, 3, 0, 0)
    assert kind is ValueError
    assert "not of 3 x 3" in text


@pytest.mark.parametrize("runs", [[20, -4], [4, 20, -8], [-1, 17], [0, -(2**63), 2**63 - 1]])
def test_the_compiled_half_writes_nowhere_for_runs_below_zero(runs: list[int]) -> None:
    values = np.array(runs, np.int64)
    assert COMPILED is not None
    assert COMPILED.scanlines(values, 4, 4, 0, 0) is None
    assert COMPILED.box(values, 4) is None
    assert COMPILED.from_row_major(values, 0, 0, 4, 4, 9, 9) is None


@STABLE
@given(pictures(), st.integers(-30, 30), st.integers(-50, 50), st.integers(1, 40), st.integers(1, 60))
def test_rectangles(picture: Any, left: int, top: int, image_width: int, image_height: int) -> None:
    runs, width, height = picture  # as rows and columns change places
    size = {"image_height": image_height, "image_width": image_width}
    answers = []
    for masks.quick in (None, COMPILED):
        answers.append(masks.from_row_major(runs, left, top, width, height, **size).tolist())
    pixels = masks.expand(runs).reshape(height, width)
    whole = np.zeros((image_height, image_width), np.uint8)
    for y in range(max(top, 0), min(top + height, image_height)):
        for x in range(max(left, 0), min(left + width, image_width)):
            whole[y, x] = pixels[y - top, x - left]
    assert answers[0] == answers[1] == masks.from_array(whole).tolist()


def test_rectangles_beyond_what_is_turned_quickly() -> None:
    width = 2**20 + 1  # so many columns numpy turns with less memory
    runs = np.array([5, width - 6, 1], np.int64)
    size = {"image_height": 2, "image_width": width}
    assert COMPILED is not None
    assert COMPILED.from_row_major(runs, 0, 0, width, 1, 2, width) is None
    found = masks.from_row_major(runs, 0, 0, width, 1, **size)
    assert (len(found), int(found.sum()), masks.area(found)) == (2 * (width - 6) + 1, 2 * width, width - 6)
    far = COMPILED.from_row_major(np.array([0, 1], np.int64), 2**40, 0, 1, 1, 2, 2)
    assert far is None


@STABLE
@given(pictures(), st.integers(0, 2))
def test_runs_are_held_against_their_size(picture: Any, more: int) -> None:
    runs, height, width = picture
    expected = SchemaError if more else np.int64
    assert both(masks.read_counts, runs.tolist(), height, width + more)[0] == expected
    assert both(masks.read_counts, masks.encode_counts(runs), height, width + more)[0] == expected

"""Lines of annotations put together of text: both implementations against lines by hand, and against each other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.formats.nucleus import lines as module
from nucleus_convert.formats.nucleus.lines import BOX, CATEGORY, RING, WHOLE, Frame

LINES: list[Any] = [pytest.param(module.plain_lines, id="python")]
if module.quick is not None:
    LINES.append(pytest.param(module.quick.lines, id="compiled"))
both = pytest.mark.parametrize("lines", LINES)
BOXED = Frame(BOX, b'{"label":"a","type":"box","geometry":{"x":', b'"a', b'{"b":1}')
DRAWN = Frame(RING, b'{"label":"a","type":"polygon","geometry":{"vertices":[', b'"a', b'{"b":2}')
MADE = Frame(WHOLE, b'{"label":"a","type":"keypoints","geometry":', b'"a', b'{"b":3}')
TAG = Frame(CATEGORY, b'{"label":"a","type":"category","geometry":{}', b"", b',"taxonomy_name":"t"}')


@both
def test_lines(lines: Any) -> None:
    numbers = [b"1,2.5,-3,4", b"[[1,2,3.5,4]]", b"[5,6,7,8]", b'{"keypoints":[]}', b""]
    made = lines([BOXED, DRAWN, DRAWN, MADE, TAG], numbers, [None, None, b'{"c":9}', None, None], b'"r"', 8)
    assert msgspec.json.decode(b"[%b]" % made.replace(b"\n", b",")) == [
        {"label": "a", "type": "box", "geometry": {"x": 1, "y": 2.5, "width": -3, "height": 4},
         "reference_id": "r", "annotation_id": "a-0008", "metadata": {"b": 1}},
        {"label": "a", "type": "polygon", "geometry": {"vertices": [{"x": 1, "y": 2}, {"x": 3.5, "y": 4}]},
         "reference_id": "r", "annotation_id": "a-0009", "metadata": {"b": 2}},
        {"label": "a", "type": "polygon", "geometry": {"vertices": [{"x": 5, "y": 6}, {"x": 7, "y": 8}]},
         "reference_id": "r", "annotation_id": "a-0010", "metadata": {"c": 9}},
        {"label": "a", "type": "keypoints", "geometry": {"keypoints": []},
         "reference_id": "r", "annotation_id": "a-0011", "metadata": {"b": 3}},
        {"label": "a", "type": "category", "geometry": {}, "reference_id": "r", "taxonomy_name": "t"},
    ]  # fmt: skip
    assert lines([], [], None, b'"r"', 1) == b""
    assert b'"annotation_id":"a-12345"' in lines([BOXED], [b"1,2,3,4"], None, b'"r"', 12345)


@both
@pytest.mark.parametrize(
    ("frame", "numbers"),
    [(BOXED, b"1,2,3"), (BOXED, b"1,2,3,4,5"), (BOXED, b""), (DRAWN, b"[[1,2,3]]"), (DRAWN, b"[[1]]")],
)
def test_what_is_no_geometry_of_that_kind(lines: Any, frame: Frame, numbers: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what it says depends on who says it
        lines([frame], [numbers], None, b'"r"', 1)


@both
def test_there_are_as_many_of_each(lines: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        lines([BOXED, BOXED], [b"1,2,3,4"], None, b'"r"', 1)


NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)).map(msgspec.json.encode)
POINT = st.tuples(NUMBERS, NUMBERS).map(b",".join)
CASES = st.one_of(
    st.tuples(st.just(BOXED), st.lists(NUMBERS, min_size=4, max_size=4).map(b",".join)),
    st.tuples(st.just(DRAWN), st.lists(POINT, min_size=1, max_size=99).map(b",".join)),
    st.tuples(st.just(DRAWN), POINT.map(b"[[%b]]".__mod__)),
    st.tuples(st.just(MADE), st.binary(max_size=5000)),
    st.tuples(st.just(TAG), st.binary()),
)


@given(st.lists(st.tuples(CASES, st.none() | st.binary())), st.booleans(), st.integers(1, 10**6), st.binary())
def test_both_say_the_same(cases: list[Any], ended: bool, first: int, reference: bytes) -> None:
    if module.quick is None:
        pytest.skip("nothing was compiled")
    frames, numbers = [frame for (frame, _), _ in cases], [text for (_, text), _ in cases]
    ends = [end for _, end in cases] if ended else None
    made = module.plain_lines(frames, numbers, ends, reference, first)
    assert module.quick.lines(frames, numbers, ends, reference, first) == made

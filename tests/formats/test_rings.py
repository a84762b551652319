"""Rings as text: both implementations against numbers read by the standard library's JSON, and each other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.formats import rings

IMPLEMENTATIONS: list[Any] = [pytest.param(rings.plain_measure, rings.plain_vertices, id="python")]
if rings.quick is not None:
    IMPLEMENTATIONS.append(pytest.param(rings.quick.measure, rings.quick.vertices, id="compiled"))
both = pytest.mark.parametrize(("measure", "vertices"), IMPLEMENTATIONS)

numbers = st.one_of(
    st.integers(-(10**6), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-1000, 1000, places=2).map(float),
)
points = st.tuples(numbers, numbers)
some_rings = st.lists(st.lists(points, min_size=1, max_size=8), min_size=1, max_size=4)


def flat(ring: list[tuple[float, float]]) -> list[float]:
    return [number for point in ring for number in point]


def text(value: Any, *, wide: bool) -> bytes:
    return json.dumps(value, separators=(", ", ": ") if wide else (",", ":")).encode()


@both
@given(some_rings, st.tuples(numbers, numbers, numbers, numbers), st.booleans())
def test_measure_agrees_with_the_numbers(measure: Any, vertices: Any, given_rings: Any, box: Any, wide: bool) -> None:
    answer = measure(text([flat(ring) for ring in given_rings], wide=wide), text(box, wide=wide)[1:-1])
    plain = [[(float(x), float(y)) for x, y in ring] for ring in given_rings]
    if any(len(ring) < 3 or ring[0] == ring[-1] for ring in plain):
        assert answer is None
        return
    xs, ys = zip(*(point for ring in plain for point in ring), strict=True)
    x, y, width, height = map(float, box)
    edges = (min(xs) - x, min(ys) - y, max(xs) - (x + width), max(ys) - (y + height))
    assert answer == (len(plain), max(map(abs, edges)))


@both
@given(some_rings, st.booleans())
def test_vertices_are_the_points(measure: Any, vertices: Any, given_rings: Any, wide: bool) -> None:
    made = vertices(text([flat(ring) for ring in given_rings], wide=wide))
    read = [[(point["x"], point["y"]) for point in json.loads(b"[" + ring + b"]")] for ring in made]
    assert read == given_rings


@given(some_rings, st.booleans(), st.lists(st.binary(max_size=3), max_size=3))
def test_a_polygon_is_the_vertices_of_the_first_ring_with_the_rest_around(
    given_rings: Any, wide: bool, rest: list[bytes]
) -> None:
    region = text([flat(ring) for ring in given_rings], wide=wide)
    expected = b"head" + rings.plain_vertices(region)[0] + b"".join(rest)
    assert rings.polygon(b"head", region, *rest) == rings.plain_polygon(b"head", region, *rest) == expected


@both
def test_digits_stay_as_written(measure: Any, vertices: Any) -> None:
    assert vertices(b"[[1.50, -0,1e2 ,2.0,\n3,4.123456789012345678]]") == [
        b'{"x":1.50,"y":-0},{"x":1e2,"y":2.0},{"x":3,"y":4.123456789012345678}'
    ]


@both
@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b"[[]]",
        b"[[1,2,3,4]]",
        b"[[1,2,3,4,5]]",
        b"[[1,2,3,4,1,2]]",
        b"[[1,2,3,4,1.0,2e0]]",
        b"[[1,2,3,4,5,6],[]]",
        b"[[1,2,3,4,5,1e999]]",
        b"[[1,2,3,4,5,01]]",
        b"[[1,2,3,4,5,1.]]",
        b"[[1,2,3,4,5,12345678901234567.]]",
        b"[[1,2,3,4,5,.5]]",
        b"[[1,2,3,4,5,+5]]",
        b"[[1,2,3,4,5,-]]",
        b"[[1,2,3,4,5,1e]]",
        b"[[1,2,3,4,5,0x10]]",
        b"[[1,2,3,4,5,NaN]]",
        b"[[1,2,3,4,5,null]]",
        b"[[1,2,3,4,5,6]",
        b"[[1,2,3,4,5,6]]x",
        b"[[1,2,3,4,5,6]]\0",
        b"[[1,2,3,4,5\0,6]]",
        b"[[1,2,3,4,5,6,]]",
        b"[[[1,2],[3,4],[5,6]]]",
        b"[1,2,3,4,5,6]",
    ],
)
def test_anything_else_is_none(measure: Any, vertices: Any, wrong: bytes) -> None:
    assert measure(wrong, b"0,0,1,1") is None


@both
@pytest.mark.parametrize("wrong", [b"", b"1,2,3", b"1,2,3,4,5", b"1,2,3,x", b"1,2,3,4,", b"1 2,3,4,5", b"1,2,3,1e999"])
def test_a_box_is_four_numbers(measure: Any, vertices: Any, wrong: bytes) -> None:
    assert measure(b"[[1,2,3,4,5,6]]", wrong) is None


@given(st.text("[]0123456789.,-+eE \n", max_size=60).map(str.encode))
def test_both_agree_on_any_text(given_text: bytes) -> None:
    if rings.quick is not None:
        quick = rings.quick.measure(given_text, b"0,0,1,1"), rings.quick.measure(b"[[1,2,3,4,5,6]]", given_text)
        assert quick == (
            rings.plain_measure(given_text, b"0,0,1,1"),
            rings.plain_measure(b"[[1,2,3,4,5,6]]", given_text),
        )


@given(st.binary(max_size=80))
def test_the_compiled_one_survives_any_bytes(given_bytes: bytes) -> None:
    if rings.quick is not None:
        rings.quick.measure(given_bytes, given_bytes)
        assert all(ring.startswith(b'{"x":') for ring in rings.quick.vertices(given_bytes))


@both
def test_only_bytes_are_taken(measure: Any, vertices: Any) -> None:
    if measure is not rings.plain_measure:
        for wrong in [(b"", ), ("", b""), (b"", None)]:  # fmt: skip
            with pytest.raises(TypeError):
                measure(*wrong)
        with pytest.raises(TypeError):
            vertices("")

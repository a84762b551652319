"""Rings as text: both implementations against numbers read by the standard library's JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.formats import rings

IMPLEMENTATIONS: list[Any] = [pytest.param(rings.plain_vertices, id="python")]
if rings.quick is not None:
    IMPLEMENTATIONS.append(pytest.param(rings.quick.vertices, id="compiled"))
both = pytest.mark.parametrize("vertices", IMPLEMENTATIONS)

numbers = st.one_of(
    st.integers(-(10**6), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-1000, 1000, places=2).map(float),
)
points = st.tuples(numbers, numbers)
some_rings = st.lists(st.lists(points, min_size=1, max_size=8), min_size=1, max_size=4)


@both
@given(some_rings, st.booleans())
def test_vertices_are_the_points(vertices: Any, given_rings: Any, wide: bool) -> None:
    flat = [[number for point in ring for number in point] for ring in given_rings]
    text = json.dumps(flat, separators=(", ", ": ") if wide else (",", ":")).encode()
    read = [[(point["x"], point["y"]) for point in json.loads(b"[" + ring + b"]")] for ring in vertices(text)]
    assert read == given_rings


@both
def test_digits_stay_as_written(vertices: Any) -> None:
    assert vertices(b"[[1.50, -0,1e2 ,2.0,\n3,4.123456789012345678]]") == [
        b'{"x":1.50,"y":-0},{"x":1e2,"y":2.0},{"x":3,"y":4.123456789012345678}'
    ]


@given(st.binary(max_size=80))
def test_the_compiled_one_survives_any_bytes(given_bytes: bytes) -> None:
    if rings.quick is not None:
        assert all(ring.startswith(b'{"x":') for ring in rings.quick.vertices(given_bytes))

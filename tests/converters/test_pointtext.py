"""Points as text: both implementations against ``repr`` of the float32 and each other, to the character."""

from __future__ import annotations

import json
import math
import struct
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nucleus_convert.converters.pointtext import CHUNK, PointText

PLAIN = PointText(compiled=False)
QUICK = PointText()
IMPLEMENTATIONS: list[Any] = [pytest.param(PLAIN, id="python")]
if QUICK.quick is not None:
    IMPLEMENTATIONS.append(pytest.param(QUICK, id="compiled"))
both = pytest.mark.parametrize("writer", IMPLEMENTATIONS)
compiled = pytest.mark.skipif(QUICK.quick is None, reason="no C compiler was there at installation")

floats = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**60), max_value=2.0**60),
    st.floats(width=32, min_value=-100, max_value=100),
    st.integers(-(10**8), 10**8).map(lambda number: number / 1000),
    st.integers(-(10**9), 10**9).map(lambda number: number / 10**8),
    st.integers(-20, 20).map(lambda power: 10.0**power),
)
rows = st.lists(st.tuples(floats, floats, floats, st.one_of(floats, st.just(math.nan))), min_size=1, max_size=40)


def array(values: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.array(values, np.float64).astype(np.float32)


@both
@given(values=rows)
def test_the_text_is_that_of_the_floats_repr(writer: PointText, values: Any) -> None:
    points = array(values)
    text, without = writer.of(points)
    assert text.endswith(b"},")
    found = json.loads(b"[" + text[:-1] + b"]", parse_float=str, parse_int=str)
    assert without == sum("i" not in one for one in found) == int(np.isnan(points[:, 3]).sum())
    for one, row in zip(found, points, strict=True):
        assert list(one) == list("xyzi"[: len(one)])
        for said, value in zip(one.values(), row, strict=False):
            if value == 0 or 1e-12 < abs(value) < 1e22:
                assert Decimal(said) == Decimal(str(value))
            assert struct.pack("<f", float(said)) == struct.pack("<f", value)


@compiled
@given(values=rows)
@example(values=[(9.999999e-06, 1e-05, 0.001, 0.0), (9999999.0, 1e7, -0.0, 999999.5)])
@example(values=[(16777216.0, 0.1, 0.2, 0.3)] * 200)
def test_both_write_the_same(values: Any) -> None:
    assert QUICK.of(array(values)) == PLAIN.of(array(values))


@compiled
def test_both_write_the_same_of_any_bits() -> None:
    """Every exponent, and digits at random; rows of a slice that do not lie one behind the other."""
    dice = np.random.default_rng(7)
    bits = dice.integers(0, 2**32, (CHUNK, 4), dtype=np.uint32).view(np.float32)
    points = np.where(np.isfinite(bits), bits, np.float32(1.5))
    for some in (points[:2000], points[:4000:2], points[:1, :], dice.normal(0, 20, (CHUNK, 4)).astype(np.float32)):
        assert QUICK.of(some) == PLAIN.of(some)

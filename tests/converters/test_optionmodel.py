"""Options as they are declared: as pydantic's models, but that nothing is imported where nothing is given."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.converters import registry
from nucleus_convert.converters.errors import OptionError
from nucleus_convert.converters.optionmodel import Options, option
from nucleus_convert.converters.options import described, validated


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("Must be even")
    return value


class Ours(Options):
    """Declared in this program's way."""

    kind: Literal["a", "b"] = option("a", description="a kind")
    count: int = option(2, ge=0, le=9, check=_even, description="how many")
    share: float = option(0.0, description="a share")
    root: Path | None = option(None, description="a folder")
    numbers: tuple[int, ...] = option((), description="some numbers")
    quick: bool = option(True, description="quickly")


class Theirs(pydantic.BaseModel, extra="forbid"):
    """The same as pydantic has it."""

    kind: Literal["a", "b"] = pydantic.Field("a", description="a kind")
    count: int = pydantic.Field(2, ge=0, le=9, description="how many")
    share: float = pydantic.Field(0.0, description="a share")
    root: Path | None = pydantic.Field(None, description="a folder")
    numbers: tuple[int, ...] = pydantic.Field((), description="some numbers")
    quick: bool = pydantic.Field(True, description="quickly")

    @pydantic.field_validator("count")
    @classmethod
    def _even(cls, value: int) -> int:
        return _even(value)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.floats(allow_nan=False),
    st.sampled_from(["a", "b", "8", "7", "x"]),
    st.lists(st.integers(0, 5), max_size=3),
)


@given(st.dictionaries(st.sampled_from([*Ours.model_fields, "unknown"]), VALUES, max_size=4))
def test_what_is_given_is_checked_as_pydantic_does(values: dict[str, object]) -> None:
    outcomes: list[object] = []
    for model in (Ours, Theirs):
        try:
            made = validated(model, values)  # type: ignore[arg-type]
        except OptionError as error:
            outcomes.append(str(error))
        else:
            outcomes.append((made.model_dump(), made.model_dump(mode="json")))
    assert outcomes[0] == outcomes[1]


def test_they_are_described_as_pydantics_are() -> None:
    assert described(Ours, None) == described(Theirs, None)


def test_options_are_values() -> None:
    one = Ours(count="4", root="x")
    assert (one.count, one.root, one.kind) == (4, Path("x"), "a")
    assert one == Ours(count=4, root=Path("x")) != Ours()
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.model_copy(update={"count": 6}) == Ours(count=6, root=Path("x"))
    assert repr(Ours(kind="b")).startswith("Ours(kind='b', count=2,")
    with pytest.raises(AttributeError, match="model_copy"):
        one.count = 3  # type: ignore[misc]


QUIET = """
import sys
from nucleus_convert.converters import pipeline
pipeline.convert(sys.argv[1], sys.argv[2], source="voc")
print("pydantic" in sys.modules)
pipeline.convert(sys.argv[1], sys.argv[3], source="voc", coords="edges")
print("pydantic" in sys.modules)
"""


def test_pydantic_is_not_imported_where_nothing_is_given(tmp_path: Path) -> None:
    source = Path(__file__).resolve().parents[2] / "fixtures/voc/kit"
    command = [sys.executable, "-c", QUIET, source, tmp_path / "a", tmp_path / "b"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("name", registry.FORMATS)
def test_defaults_are_valid(name: str) -> None:
    """They are not checked when they are taken."""
    module = registry.get(name)
    for model in (module.ReadOptions, module.WriteOptions):
        given = {option: field.default for option, field in model.model_fields.items()}
        assert repr(model(**given)) == repr(model())

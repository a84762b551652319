"""Options: from pydantic models to command lines, and from what is given to the models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic
import pytest

from nucleus_convert.converters.errors import OptionError, Where
from nucleus_convert.converters.options import described, split, validated


class Reading(pydantic.BaseModel, extra="forbid"):
    root: Path | None = pydantic.Field(None, description="where images are")
    strict: bool = pydantic.Field(True, description="be strict")
    names: list[str] = pydantic.Field([], description="some names")
    kinds: tuple[Literal["a", "b"], ...] = pydantic.Field(("a",), description="some kinds")


class Writing(pydantic.BaseModel, extra="forbid"):
    root: Path | None = pydantic.Field(None, description="another text")
    indent: bool = pydantic.Field(False, description="for people")
    exact: bool | None = pydantic.Field(None, description="as it is best")
    lines_per_part: Annotated[int, pydantic.Field(ge=1)] = pydantic.Field(1000, description="a number")
    share: float | None = pydantic.Field(None, description="a share")
    shape: Literal["box", "polygon"] = pydantic.Field("box", description="a shape")
    either: int | Literal["auto"] = pydantic.Field("auto", description="a number or auto")

    @pydantic.field_validator("share")
    @classmethod
    def _below_one(cls, value: float | None) -> float | None:
        if value is not None and value > 1:
            raise ValueError("Must be at most 1")
        return value


def test_described() -> None:
    made = {one.name: one for one in described(Reading, Writing)}
    assert [(one.flag, one.side) for one in made.values()] == [
        ("root", "Source"),
        ("strict/--no-strict", "Source"),
        ("names", "Source"),
        ("kinds", "Source"),
        ("indent", "Target"),
        ("exact/--no-exact", "Target"),
        ("lines-per-part", "Target"),
        ("share", "Target"),
        ("shape", "Target"),
        ("either", "Target"),
    ]
    assert made["root"].settings == {
        "default": None,
        "multiple": False,
        "type": Path,
        "metavar": "FILE",
        "help": "where images are",
    }
    assert made["strict"].settings["help"] == "be strict [default: yes]"
    assert made["strict"].settings["is_flag"] is True
    assert made["exact"].settings == {"default": None, "is_flag": True, "help": "as it is best"}
    assert (made["names"].settings["multiple"], made["names"].settings["metavar"]) == (True, "TEXT")
    assert (made["kinds"].settings["multiple"], made["kinds"].settings["type"]) == (True, ["a", "b"])
    assert made["lines_per_part"].settings["type"] is int
    assert made["lines_per_part"].settings["help"] == "a number [default: 1000]"
    assert made["share"].settings["type"] is float
    assert made["shape"].settings["type"] == ["box", "polygon"]
    assert made["either"].settings["metavar"] == "TEXT"
    assert described(None, None) == []


def test_split() -> None:
    reading, writing = split({"root": "x", "indent": True, "either": "5"}, Reading, Writing)
    assert reading == Reading(root=Path("x"))
    assert writing == Writing(root=Path("x"), indent=True, either=5)
    assert split({}, Reading, None) == (Reading(), None)
    assert split({}, None, Writing) == (None, Writing())
    with pytest.raises(OptionError, match="unknown option 'indent'"):
        split({"indent": True}, Reading, None)


def test_messages() -> None:
    with pytest.raises(OptionError) as caught:
        validated(Writing, {"share": 2})
    assert str(caught.value) == "option 'share': must be at most 1"
    with pytest.raises(OptionError) as caught:
        validated(Writing, {"share": 2, "indent": "?"}, Where(file="a.toml"))
    assert str(caught.value).startswith("a.toml: 'indent': input should be a valid boolean")
    assert "and 1 more like it" in str(caught.value)
    with pytest.raises(OptionError) as caught:
        validated(Writing, {"shap": "box"}, Where(file="a.toml"))
    assert str(caught.value) == "a.toml: unknown key 'shap'\n  hint: did you mean 'shape'?"

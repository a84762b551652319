"""Errors: what they say, that they travel between processes, and their exit codes."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest

from nucleus_convert import cli
from nucleus_convert.converters import errors
from nucleus_convert.converters.errors import ConvertError, InternalError, LossRefusedError, Where

DOCS = Path(__file__).resolve().parent.parent / "docs"
CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, ConvertError) and value.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_pickle_whole(kind: type[ConvertError]) -> None:
    error = kind("a thing is wrong", Where(file="a.json", line=3, path="$.x", item="7"), "mend it")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, again.where, again.hint) == (error.message, error.where, error.hint)
    assert str(again) == "a.json:3 $.x, item 7: a thing is wrong\n  hint: mend it"


def test_exit_codes_are_unique_and_out_of_the_shells_way() -> None:
    codes = [kind.exit_code for kind in CLASSES]
    assert len(set(codes)) == len(codes)
    assert not {0, 2, cli.INTERRUPTED, cli.TERMINATED} & set(codes)
    assert all(0 < code < 126 for code in codes)


def test_every_error_has_a_code_of_its_own() -> None:
    assert all("exit_code" in vars(kind) for kind in CLASSES)


def test_the_documented_exit_codes_are_the_real_ones() -> None:
    text = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    documented = {
        int(code): name
        for code, name in re.findall(r"^\| (\d+) \|.*?\| (?:`(\w+)`)?.*\|$", text, re.MULTILINE)
    }
    real = {kind.exit_code: kind.__name__ for kind in CLASSES}
    real |= {0: "", 2: "", cli.INTERRUPTED: "", cli.TERMINATED: ""}
    assert documented == real
    assert (LossRefusedError.exit_code, InternalError.exit_code) == (3, cli.BUG)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (Where(), ""),
        (Where(file="a"), "a"),
        (Where(file="a", line=0), "a:0"),
        (Where(path="$.x"), "$.x"),
        (Where(file="a", path="$.x", item="1", annotation="2"), "a $.x, item 1, annotation 2"),
        (Where(item="1"), "item 1"),
    ],
)
def test_where(where: Where, text: str) -> None:
    assert str(where) == text

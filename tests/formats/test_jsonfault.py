"""What is wrong with a text that is no JSON: what Python's json takes for damage is found where json finds it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.formats.jsonfault import fault


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('{"id":1,"bbox":[1,2,NaN,4]}', ".bbox[2]", "NaN is not JSON"),
        ('{"area": -Infinity}', ".area", "-Infinity is not JSON"),
        ('{"a":{"b":[{"c":1},\n{"c": Infinity}]}}', ".a.b[1].c", "Infinity is not JSON"),
        ("[[1,2],[3,nan]]", "[1][1]", "nan is not JSON"),
        ('{"a":[1,-inf]}', ".a[1]", "-inf is not JSON"),
        ('{"a": None}', ".a", "None is not JSON"),
        ('{"a": [True]}', ".a[0]", "True is not JSON"),
        ("NaN", "", "NaN is not JSON"),
        ('\n {"a" : [ 1 , NaN ] }', ".a[1]", "NaN is not JSON"),
        ("[NaN", "[0]", "NaN is not JSON"),
        ('{"a":01}', ".a", "not valid JSON: invalid number"),
        ('{"x":1,"a":"\\q"}', ".a", "not valid JSON: invalid escaped character"),
        ('{"a":"}]NaN","b":NaN}', ".b", "NaN is not JSON"),
        ('{"NaN":1,"\\"":NaN}', '.\\"', "NaN is not JSON"),
        ('{"a":"x","b":"\\ud83d"}', ".b", "not valid JSON: half of a surrogate pair"),
        ('{"a":["\\ud83d\\ude00","\\udce9.jpg"]}', ".a[1]", "not valid JSON: half of a surrogate pair"),
        ('{"a":[1,2', "", "not valid JSON: Input data was truncated"),
        ('{"a":1}{"a":2}', "", "not valid JSON: trailing characters"),
    ],
)
def test_what_is_wrong_and_where(text: str, path: str, message: str) -> None:
    found = fault(text.encode())
    assert found is not None
    assert (found.path, found.message) == (path, message)


@pytest.mark.parametrize("data", [b'{"a":["\xff"]}', b'{"b":0,"a":["x","\xc3"]}'])
def test_text_that_is_not_utf8(data: bytes) -> None:
    found = fault(data)
    assert found is not None
    assert (found.message, data[found.offset] >= 0x80) == ("not valid JSON: the text is not UTF-8", True)
    assert re.fullmatch(r"\.a\[\d\]", found.path)


def test_nesting_without_end() -> None:
    deep = b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"
    found = fault(deep)
    assert found is not None
    assert (found.path, found.message) == ("", "nested too deeply to be a label file")
    found = fault(b"[" * 900 + b"NaN" + b"]" * 900)
    assert found is not None
    assert found.path.startswith("[0][0][0]")
    assert len(found.path) < 200


VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(-9, 9) | st.sampled_from(["", '"', "\\", "NaN", "]}", ",", ":", "ä"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(VALUE)
def test_json_has_no_fault(value: Any) -> None:
    assert fault(json.dumps(value, ensure_ascii=False).encode()) is None


@given(VALUE, st.sampled_from([float("nan"), float("inf"), float("-inf")]), st.data())
def test_a_number_that_is_none_is_found_where_it_was_put(value: Any, number: float, data: st.DataObject) -> None:
    """Put at a place drawn at random, with every value before it as it was."""
    path = ""
    holder: Any = [value]
    key: Any = 0
    while isinstance(holder[key], (list, dict)) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        path += f".{key}" if isinstance(holder, dict) else f"[{key}]"
    whole = [value]
    if holder == [value] and path == "":
        whole[0] = number
    else:
        holder[key] = number
    found = fault(json.dumps(whole[0], ensure_ascii=False).encode())
    assert found is not None
    assert found.path == path
    assert found.message == f"{json.dumps(number)} is not JSON"

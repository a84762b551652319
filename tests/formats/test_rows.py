"""Rows by byte offset."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_convert.converters.errors import ReadError
from nucleus_convert.formats.rows import RowFile, RowIndex


@given(groups=st.lists(st.integers(-1, 6), max_size=60), extra=st.integers(0, 3))
@settings(deadline=None, derandomize=True, database=None)
def test_rows_of_a_group_keep_their_order(groups: list[int], extra: int) -> None:
    index = RowIndex()
    half = len(groups) // 2
    for stretch in (range(half), range(half, len(groups))):
        index.extend([10 * i for i in stretch], [i + 1 for i in stretch], [groups[i] for i in stretch])
    assert len(index) == len(groups)
    count = 7 + extra
    index.freeze(count)
    expected = [[(i, 10 * i, i + 1) for i, g in enumerate(groups) if g == group] for group in range(count)]
    assert index.stretch(0, count) == expected
    for start in range(count):
        for stop in range(start, count + 1):
            assert index.stretch(start, stop) == expected[start:stop]
    again = pickle.loads(pickle.dumps(index))
    assert again.stretch(0, count) == expected


def test_an_index_of_nothing() -> None:
    assert RowIndex().freeze(0).stretch(0, 0) == []
    assert RowIndex().freeze(2).stretch(0, 2) == [[], []]


def test_offsets_beyond_four_gigabytes() -> None:
    index = RowIndex()
    index.extend([2**40], [7], [0])
    assert index.freeze(1).stretch(0, 1) == [[(0, 2**40, 7)]]


def test_a_file_is_read_by_offset_in_any_process(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    file = RowFile(path)
    assert (file.read(3, 4), file.read(0, 1), file.read(10, 0)) == (b"3456", b"0", b"")
    again = pickle.loads(pickle.dumps(file))
    assert again.read(8, 2) == b"89"


def test_a_file_that_shrank_or_went_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    file = RowFile(path)
    file.read(0, 1)
    path.write_bytes(b"01")
    with pytest.raises(ReadError, match="changed while it was read") as caught:
        file.read(0, 5)
    assert caught.value.where is not None
    assert caught.value.where.file == str(path)
    with pytest.raises(ReadError, match="cannot be read"):
        RowFile(tmp_path / "none").read(0, 1)


@pytest.mark.parametrize("gap", [0, 3, 10_000])
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2], [0, 3], [2], [0, 0, 1]])
def test_rows_read_together_are_those_read_singly(tmp_path: Path, gap: int, order: list[int]) -> None:
    rows = [b"first", b"2", b"third row", b"4th"]
    places, text = [], b""
    for row in rows:
        places.append((0, len(text), len(row)))
        text += row + b"," * gap
    path = tmp_path / "rows"
    path.write_bytes(text)
    assert RowFile(path).read_rows([places[i] for i in order]) == [rows[i] for i in order]

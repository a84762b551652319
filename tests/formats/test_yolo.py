"""What YOLO's files say, without what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError
from nucleus_convert.formats import yolo


def written(folder: Path, text: str | bytes, name: str = "data.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, b]", {0: "a", 1: "b"}),
        ("names: {1: b, 0: a}", {1: "b", 0: "a"}),
        ("names: {'0': a, '2': c}", {0: "a", 2: "c"}),
        ("names: [no, on, null, 1.0, 0x10, '']", {0: "no", 1: "on", 2: "null", 3: "1.0", 4: "0x10", 5: ""}),
        ("names:\n- traffic light\n- 'don''t'", {0: "traffic light", 1: "don't"}),
    ],
)  # fmt: skip
def test_names_are_the_text_that_stands_there(tmp_path: Path, text: str, names: dict[int, str]) -> None:
    assert yolo.load_yaml(written(tmp_path, text)).names == names


def test_splits_and_the_rest_are_told_apart(tmp_path: Path) -> None:
    data = yolo.load_yaml(
        written(tmp_path, "train: a\nvalidation: [b, c]\ntest:\nTrain: x.txt\nnc: '2'\nroboflow: {v: 1}")
    )
    assert data.splits() == {"train": ["a"], "val": ["b", "c"]}
    assert data.other_splits() == {"Train": ["x.txt"]}
    assert data.nc == 2
    assert data.others["roboflow"] == {"v": 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "not YAML"),
        ("- a", "keys and values"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("names: !!python/object/apply:os.system ['false']\ntrain: !!python/object:os.x {}", "YAML"),
        ("names: 3", "names"),
        ("names: {-1: a}", "start at 0"),
        ("kpt_shape: [17, 4]", "kpt_shape"),
        ("nc: many", "nc"),
        ("a: " + "[" * 5000, "YAML"),
        (b"names: [\xff]", "UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(ReadError) as caught:
        yolo.load_yaml(written(tmp_path, text))
    assert says in str(caught.value)
    assert "data.yaml" in str(caught.value)


def test_a_file_that_is_not_there_is_a_read_error(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="cannot be read"):
        yolo.load_yaml(tmp_path / "none.yaml")


def test_dates_and_odd_numbers_of_other_keys_become_text(tmp_path: Path) -> None:
    data = yolo.load_yaml(written(tmp_path, "names: [a]\nwhen: 2020-01-01\nfar: .inf\nok: 1.5"))
    assert data.others == {"when": "2020-01-01", "far": "inf", "ok": 1.5}


def test_what_is_dumped_is_loaded(tmp_path: Path) -> None:
    names = {0: "no", 1: "a: b", 2: "1e3", 3: " x ", 4: "Grün", 5: "", 6: "\n"}
    text = yolo.dump_yaml({"train": "train.txt", "names": names})
    assert yolo.load_yaml(written(tmp_path, text)).names == names


def test_label_lines_part_at_white_space_of_any_kind() -> None:
    data = b"\xef\xbb\xbf0 1\t2\r\n\r\n3  4 \n\n5 6"
    assert list(yolo.rows(data)) == [(1, [b"0", b"1", b"2"]), (3, [b"3", b"4"]), (5, [b"5", b"6"])]
    assert list(yolo.rows(b"1 2\r3 4")) == [(1, [b"1", b"2"]), (2, [b"3", b"4"])]
    assert list(yolo.rows(b" \n\t\n")) == []


def test_darknet_names_and_assignments(tmp_path: Path) -> None:
    data = written(tmp_path, "classes=2\n train = data/train.txt \n# no\nnames\n", "obj.data")
    assert yolo.load_assignments(data) == {"classes": "2", "train": "data/train.txt"}
    assert yolo.load_names(written(tmp_path, "a b\r\nc\n\n\n", "obj.names")) == ["a b", "c"]
    with pytest.raises(SchemaError, match=r"names:2"):
        yolo.load_names(written(tmp_path, "a\n\nb\n", "x.names"))
    with pytest.raises(MalformedFileError, match=r"names:2.*UTF-8"):
        yolo.load_names(written(tmp_path, b"a\n\xff\n", "y.names"))


def test_a_manifest_of_either_kind(tmp_path: Path) -> None:
    text = '"a \\"b\\".jpg" 48 64\nplain.png 10 20\nx,with,commas.jpg,30,40\n'
    sizes = yolo.load_sizes(written(tmp_path, text, "images.meta"))
    assert sizes == {'a "b".jpg': (64, 48), "plain.png": (20, 10), "x,with,commas.jpg": (30, 40)}
    line = yolo.dump_size('a "b"\\.jpg', 64, 48)
    assert yolo.load_sizes(written(tmp_path, line, "images.meta")) == {'a "b"\\.jpg': (64, 48)}
    assert yolo.load_sizes(written(tmp_path, "name,width,height\na.png,1,2\n", "s.csv")) == {"a.png": (1, 2)}
    with pytest.raises(SchemaError, match=r"meta:2"):
        yolo.load_sizes(written(tmp_path, "a 1 2\nb\n", "images.meta"))

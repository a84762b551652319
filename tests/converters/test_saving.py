"""Files written behind: both implementations, what goes wrong, and that nothing is written after the end."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert import convert
from nucleus_convert.converters import masks, saving
from nucleus_convert.converters.errors import WriteError
from nucleus_convert.converters.saving import MOST_BYTES, MOST_FILES, Behind

IMPLEMENTATIONS: list[Any] = [pytest.param(saving.plain_save, id="python")]
if saving.quick is not None:
    IMPLEMENTATIONS.append(pytest.param(saving.quick, id="compiled"))
both = pytest.mark.parametrize("save", IMPLEMENTATIONS)
compiled = pytest.mark.skipif(saving.quick is None, reason="without the compiled module nothing is written behind")
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full, which takes nothing, is Linux's")


def pair(path: Path, data: bytes) -> tuple[bytes, bytes]:
    return os.fsencode(path), data


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threads()
    yield
    assert threads() == before


# --- one after the other ---


@both
def test_files_hold_what_was_given(save: Any, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"longer than what comes")
    contents = {"long": b"short", "empty": b"", "nul": b"a\0b", "Grüße": bytes(range(256)) * 4096}
    save([pair(tmp_path / name, data) for name, data in contents.items()])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents
    save([])


@both
def test_the_last_of_one_name_counts(save: Any, tmp_path: Path) -> None:
    save([pair(tmp_path / "x", b"first"), pair(tmp_path / "x", b"2nd")])
    assert (tmp_path / "x").read_bytes() == b"2nd"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_files_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "any").write_bytes(b"")
    for i, save in enumerate((saving.plain_save, saving.save)):
        save([pair(tmp_path / str(i), b"x")])
        assert (tmp_path / str(i)).stat().st_mode == (tmp_path / "any").stat().st_mode


@both
def test_a_file_that_cannot_be_opened_is_named(save: Any, tmp_path: Path) -> None:
    files = [pair(tmp_path / "a", b"1"), pair(tmp_path / "none" / "b", b"2"), pair(tmp_path / "c", b"3")]
    with pytest.raises(FileNotFoundError) as caught:
        save(files)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "none" / "b"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@both
def test_a_folder_is_no_file(save: Any, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - which one differs with the system
        save([pair(tmp_path, b"1")])
    assert caught.value.filename == str(tmp_path)


@full
@both
def test_no_room_is_told(save: Any, tmp_path: Path) -> None:
    (tmp_path / "b").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        save([pair(tmp_path / "a", b"1"), pair(tmp_path / "b", b"2"), pair(tmp_path / "c", b"3")])
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@both
@pytest.mark.parametrize("files", [[(b"a\0b", b"")], [("a", b"")], [(b"a", "")], [(b"a",)], [b"ab"], 3])
def test_what_is_no_path_with_bytes_writes_nothing(
    save: Any, files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if save is saving.plain_save and files == [("a", b"")]:
        return  # which Python's own half takes too
    with pytest.raises((TypeError, ValueError)):
        save(files)
    assert save is saving.plain_save or list(tmp_path.iterdir()) == []


# --- behind ---


def fill(folder: Path, writer: Behind, count: int, data: bytes = b"x") -> None:
    for i in range(count):
        writer.add(str(folder / str(i)), data + str(i).encode())


@pytest.mark.parametrize("count", [0, 1, MOST_FILES - 1, MOST_FILES, 3 * MOST_FILES + 1])
def test_all_is_written_at_the_end(tmp_path: Path, count: int) -> None:
    with Behind() as writer:
        assert not any("saving" in name for name in threads())
        fill(tmp_path, writer, count)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        str(i): b"x" + str(i).encode() for i in range(count)
    }


@compiled
def test_large_files_do_not_wait_for_company(tmp_path: Path) -> None:
    with Behind() as writer:
        for i in range(3):
            fill(tmp_path, writer, 1, bytes(MOST_BYTES))
            assert any("saving" in name for name in threads()), i
    assert (tmp_path / "0").stat().st_size == MOST_BYTES + 1


def test_without_the_compiled_module_files_are_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "quick", None)
    monkeypatch.setattr(saving, "save", saving.plain_save)
    with Behind() as writer:
        for i in range(MOST_FILES + 1):
            writer.add(str(tmp_path / str(i)), b"x")
            assert (tmp_path / str(i)).read_bytes() == b"x"
            assert not any("saving" in name for name in threads())


def give_up(folder: Path, count: int) -> None:
    with Behind() as writer:
        fill(folder, writer, count)
        raise ZeroDivisionError


@compiled
def test_nothing_is_written_after_something_else_went_wrong(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        give_up(tmp_path, MOST_FILES + 5)
    assert {path.name for path in tmp_path.iterdir()} == {str(i) for i in range(MOST_FILES)}  # which had been begun


def go_on(folder: Path, count: int) -> None:
    with Behind() as writer:
        fill(folder / "none", writer, count)
        fill(folder, writer, 1)


@pytest.mark.parametrize("count", [1, MOST_FILES, 2 * MOST_FILES - 1, 2 * MOST_FILES, 5 * MOST_FILES])
def test_what_goes_wrong_is_raised_by_a_later_call(tmp_path: Path, count: int) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        go_on(tmp_path, count)
    assert caught.value.filename == str(tmp_path / "none" / "0")
    assert list(tmp_path.iterdir()) == []


@compiled
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_python_goes_on_while_files_are_written(tmp_path: Path) -> None:
    """To open a pipe waits for the other end, which would never come if the interpreter waited too."""
    os.mkfifo(tmp_path / "0")
    with Behind() as writer:
        fill(tmp_path, writer, MOST_FILES)
        assert (tmp_path / "0").read_bytes() == b"x0"


# --- in a conversion ---


def make(path: Path) -> None:
    """300 images of 30 x 40: a mask on each, two that overlap on every third, runs as a list and as text in turn."""
    images, rows = [], []
    for number in range(300):
        images.append({"id": number, "file_name": f"{number}.jpg", "height": 30, "width": 40})
        for k in range(1 + (number % 3 == 0)):
            start = 31 * number % 900 + 10 * k
            runs = [start, 17, 13, 17, 1153 - start]
            counts = masks.encode_counts(runs) if number % 2 else runs
            region = {"size": [30, 40], "counts": counts}
            rows.append({
                "id": len(rows), "image_id": number, "category_id": 1, "iscrowd": 1, "area": 34,
                "bbox": list(masks.box(masks.as_runs(runs), 30)), "segmentation": region,
            })  # fmt: skip
    data = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cat"}]}
    path.write_text(json.dumps(data), encoding="utf-8")


def test_without_compiled_modules_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "in.json")
    found = []
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr(masks, "quick", None)
            monkeypatch.setattr(saving, "quick", None)
            monkeypatch.setattr(saving, "save", saving.plain_save)
        convert(tmp_path / "in.json", tmp_path / name, target="nucleus", workers=1, mask_url_prefix="masks")
        found.append({p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")})
    assert found[0] == found[1]
    assert sum(path.suffix == ".png" for path in found[0]) == 300


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "no room left"), (errno.EACCES, "cannot be written")])
def test_pictures_that_cannot_be_written_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    make(tmp_path / "in.json")

    def fail(files: Any) -> None:
        raise OSError(number, os.strerror(number), os.fsdecode(files[0][0]))

    monkeypatch.setattr(saving, "save", fail)
    with pytest.raises(WriteError, match=said) as caught:
        convert(tmp_path / "in.json", tmp_path / "out", target="nucleus", workers=1)
    assert caught.value.where is not None
    assert caught.value.where.file == str(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in.json"]

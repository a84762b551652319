"""Output is put in place when everything is right, and what was there stays until then."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nucleus_convert.converters.errors import OutputExistsError, WriteError
from nucleus_convert.converters.output import check_target, commit, staging


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_target_may_be_written(tmp_path: Path) -> None:
    check_target(tmp_path / "new", overwrite=False)
    check_target(tmp_path / "deep/er/new.json", overwrite=False)
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty", overwrite=False)


def test_what_exists_needs_overwrite(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/x").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "folder", "link"):
        with pytest.raises(OutputExistsError, match="exists already"):
            check_target(tmp_path / name, overwrite=False)
        check_target(tmp_path / name, overwrite=True)


def test_the_current_folder_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    for target in (Path(), Path(".."), tmp_path, tmp_path / "a/b"):
        with pytest.raises(WriteError, match="refusing to overwrite"):
            check_target(target, overwrite=True)


def test_a_folder_that_is_a_file_cannot_be_written_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match="cannot write here"):
        check_target(tmp_path / "file/out.json", overwrite=False)


def test_the_staging_folder_is_beside_the_target_and_goes(tmp_path: Path) -> None:
    target = tmp_path / "sub/out.json"
    with staging(target) as folder:
        assert folder.parent == tmp_path / "sub"
        (folder / "half").write_text("x")
    assert names(tmp_path) == []  # nor is a folder left that was made for it
    with pytest.raises(KeyboardInterrupt), staging(target):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_dry_run_is_staged_elsewhere(tmp_path: Path) -> None:
    with staging(tmp_path / "out", discard=True) as folder:
        assert tmp_path not in folder.parents
    assert not folder.exists()
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("before", ["nothing", "file", "folder"])
def test_commit_replaces_what_is_there(tmp_path: Path, kind: str, before: str) -> None:
    if kind != before and before != "nothing":
        pytest.skip("the layout refuses this before")
    target = tmp_path / "out"
    if before == "file":
        target.write_text("old")
    elif before == "folder":
        target.mkdir()
        (target / "old").write_text("old")
    with staging(target) as folder:
        staged = folder / "out"
        if kind == "folder":
            staged.mkdir(mode=0o700)
            (staged / "new").write_text("new")
        else:
            staged.write_text("new")
        commit(staged, target)
    assert names(tmp_path) == ["out"]
    if kind == "folder":
        assert names(target) == ["new"]
        umask = os.umask(0)
        os.umask(umask)
        assert stat.S_IMODE(target.stat().st_mode) == 0o777 & ~umask
    else:
        assert target.read_text() == "new"


def test_a_move_that_fails_puts_the_old_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    replace = Path.replace

    def fail(self: Path, other: Path) -> Path:
        if self.parent.name.endswith(".partial"):
            raise PermissionError(13, "Permission denied")
        return replace(self, other)

    monkeypatch.setattr(Path, "replace", fail)
    with staging(target) as folder:
        (folder / "out").mkdir()
        with pytest.raises(WriteError, match="cannot move the output into place"):
            commit(folder / "out", target)
    assert (target / "old").read_text() == "old"
    assert [name for name in names(tmp_path) if name.endswith(".partial")] == []

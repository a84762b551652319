"""Sources: files, folders, and zips that are not to be trusted."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from nucleus_convert.converters import source
from nucleus_convert.converters.errors import ConvertError, MalformedFileError, ReadError, Where
from nucleus_convert.converters.source import opened


def zipped(path: Path, files: dict[str, str], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def refusal(path: Path) -> ConvertError:
    with pytest.raises(ReadError) as caught, opened(path):
        pytest.fail("it was unpacked")
    assert caught.value.where is not None
    assert caught.value.where.file == str(path)
    return caught.value


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary folders, so that tests can see what is left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_files_and_folders_are_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "folder.zip").mkdir()
    for path in (tmp_path / "a.json", tmp_path, tmp_path / "folder.zip"):
        with opened(path) as source:
            assert (source.path, source.unpacked) == (path, None)
            assert source.shown(f"{path}/x") == f"{path}/x"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    assert "no such file" in str(refusal(tmp_path / "none.zip"))


def test_a_zip_is_unpacked_and_cleaned_up(tmp_path: Path, scratch: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"labels/1.txt": "eins", "images/x/1.txt": "zwei"})
    with opened(path) as source:
        assert (source.path / "labels/1.txt").read_text() == "eins"
        assert (source.path / "images/x/1.txt").read_text() == "zwei"
        assert source.path.is_relative_to(scratch)
    assert list(scratch.iterdir()) == []


def test_it_is_cleaned_up_after_an_error(tmp_path: Path, scratch: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"1.txt": ""})
    with pytest.raises(KeyboardInterrupt), opened(path):
        raise KeyboardInterrupt
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("packed", [False, True])
def test_what_the_system_refuses_is_named(tmp_path: Path, scratch: Path, packed: bool) -> None:
    """A name too long for it, a file that may not be read: of the source, not of anything else."""
    (tmp_path / "a.txt").write_text("a")
    given = tmp_path
    if packed:
        given = tmp_path / "a.zip"
        with zipfile.ZipFile(given, "w") as archive:
            archive.writestr("a.txt", "a")
            archive.writestr("b.txt", "b")
    with pytest.raises(ReadError, match="cannot be read") as caught, opened(given) as found:
        (found.path / ("x" * 5000)).read_text()
    assert caught.value.where is not None
    assert str(caught.value.where.file).startswith(f"{given}/xxx")
    assert len(str(caught.value)) < len(str(given)) + 300
    with pytest.raises(OSError, match="/none"), opened(given):
        Path("/none/of/ours").read_text()


def test_a_single_folder_or_file_is_looked_through(tmp_path: Path) -> None:
    files = {
        "export/a.txt": "a",
        "export/b/c.txt": "c",
        "__MACOSX/export/._a.txt": "x",
        "export/.DS_Store": "x",
    }
    with opened(zipped(tmp_path / "a.zip", files)) as source:
        assert sorted(path.name for path in source.path.iterdir()) == ["a.txt", "b"]
    with opened(zipped(tmp_path / "b.ZIP", {"labels.json": "{}"})) as source:
        assert source.path.name == "labels.json"


def test_reports_say_the_zips_name(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"d/a.txt": "a", "d/b.txt": "b"})
    with opened(path) as source:
        where = source.place(Where(file=str(source.path / "a.txt"), line=3))
        error = ReadError(f"in {source.path}", where)
        source.explain(error)
        assert source.place(None) is None
    assert where == Where(file=f"{path}/d/a.txt", line=3)
    assert error.message == f"in {path}/d"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "a\\..\\evil", "C:evil"])
def test_names_that_lead_out_are_refused(tmp_path: Path, scratch: Path, name: str) -> None:
    path = zipped(tmp_path / "a.zip", {"good.txt": "", name: "evil"})
    assert "leads out" in str(refusal(path))
    assert list(scratch.iterdir()) == []
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert "link or a device" in str(refusal(tmp_path / "a.zip"))


def test_a_bomb_is_refused(tmp_path: Path, scratch: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.json", bytes(source.RATIO_FROM // 2))
    assert "would unpack to" in str(refusal(tmp_path / "a.zip"))
    assert list(scratch.iterdir()) == []


def test_entries_that_share_their_bytes_are_a_bomb(tmp_path: Path) -> None:
    """Each entry alone has a harmless ratio, but all of them are the same packed bytes."""
    zipped(tmp_path / "a.zip", {"a" * 8: "x" * (1 << 20)}, zipfile.ZIP_STORED)
    data = (tmp_path / "a.zip").read_bytes()
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entries = b"".join(data[start:end].replace(b"a" * 8, b"%08d" % number) for number in range(300))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 300, 300, len(entries), start, 0)
    (tmp_path / "a.zip").write_bytes(data[:start] + entries + tail)
    assert "would unpack to" in str(refusal(tmp_path / "a.zip"))


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {"a": "12345", "b": "12345"})
    monkeypatch.setattr(source, "MAX_FILES", 1)
    assert "holds 2 files" in str(refusal(path))
    monkeypatch.setattr(source, "MAX_FILES", 2)
    monkeypatch.setattr(source, "MAX_BYTES", 9)
    assert "would unpack to 10" in str(refusal(path))
    monkeypatch.setattr(source, "MAX_BYTES", 10)
    with opened(path):
        pass
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 9}))
    assert "no room" in str(refusal(path))


def test_broken_zips_are_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.txt": "text" * 1000}, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    for broken in (b"", b"not a zip", whole[: len(whole) // 2], whole.replace(b"texttext", b"texxtext", 1)):
        path.write_bytes(broken)
        assert isinstance(refusal(path), MalformedFileError)
    zipped(path, {})
    assert "no files" in str(refusal(path))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "1")
        archive.writestr("a.txt", "2")
    assert "twice" in str(refusal(tmp_path / "a.zip"))


def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    refusal(zipped(tmp_path / "a.zip", {"a": "1", "a/b": "2"}))


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.txt": "secret"})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    assert "encrypted" in str(refusal(path))

"""Image files by their headers and names, against Pillow."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, UnrepresentableError


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_size_and_orientation_as_pillow_has_them(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    kept = suffix in ("jpg", "png", "webp")
    Image.new("RGB", (31, 17)).save(path, **({"exif": exif} if kept else {}))
    found = imagefile.info(path)
    assert (found.width, found.height) == (31, 17)
    assert found.orientation == (orientation if kept else 1)
    assert found.size("ignore") == (31, 17)
    assert found.size("apply") == ((17, 31) if kept and orientation > 4 else (31, 17))


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\0\0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"text"]
)
def test_what_is_no_image(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(MalformedFileError):
        imagefile.info(tmp_path / "a.jpg")
    with pytest.raises(ReadError):
        imagefile.info(tmp_path / "none.jpg")


def test_damaged_headers_raise_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    for suffix in ("JPEG", "PNG"):
        Image.new("RGB", (31, 17)).save(path, suffix)
        data = path.read_bytes()
        for cut in range(0, min(len(data), 400), 3):
            path.write_bytes(data[:cut])
            with suppress(MalformedFileError):
                assert imagefile.info(path)[:2] == (31, 17)


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a/../../b", "C:/a", "C:\\a", "..\\a", "", ".", "a\0b", "\\\\host\\a"]
)
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(SchemaError):
        imagefile.inside(tmp_path, name)


def test_names_that_do_not(tmp_path: Path) -> None:
    assert imagefile.inside(tmp_path, "a/./b.jpg") == tmp_path / "a" / "b.jpg"
    assert imagefile.inside(tmp_path, "a\\b..c.jpg") == tmp_path / "a" / "b..c.jpg"


def test_finding(tmp_path: Path) -> None:
    assert imagefile.find(tmp_path, "a.b") is None
    (tmp_path / "a.b.PNG").write_bytes(b"")
    (tmp_path / "a.b.txt").write_bytes(b"")
    assert imagefile.find(tmp_path, "a.b") == tmp_path / "a.b.PNG"
    assert [imagefile.is_image(name) for name in ("a.JPG", ".jpg", "a.txt", "jpg")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("how", ["link", "copy"])
def test_placing(tmp_path: Path, how: imagefile.Placing) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "b.jpg").write_bytes(b"b")
    target = tmp_path / "out" / "deep" / "x.jpg"
    assert not imagefile.place(tmp_path / "a.jpg", target, "none")
    assert imagefile.place(tmp_path / "a.jpg", target, how)
    assert imagefile.place(tmp_path / "a.jpg", target, how)
    assert target.read_bytes() == b"a"
    assert target.samefile(tmp_path / "a.jpg") == (how == "link")
    with pytest.raises(UnrepresentableError):
        imagefile.place(tmp_path / "b.jpg", target, how)
    assert target.read_bytes() == b"a"

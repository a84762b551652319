"""PNG in and out, held against Pillow and files made by hand, chunk by chunk."""

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from nucleus_convert.converters import indexmap, masks, png
from nucleus_convert.converters.errors import MalformedFileError, SchemaError
from nucleus_convert.converters.palette import voc_palette

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples"


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def by_hand(width, height, depth, colour, rows, *, palette=None, interlace=0, extra=b""):
    """A PNG of the given raw rows (packed bytes, without filter byte)."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
        + (chunk(b"PLTE", palette) if palette else b"")
        + extra
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
        + chunk(b"IEND", b"")
    )


def without_adler(data):
    """The file with the last four bytes of its pixels' stream cut off."""
    parts = [chunk(kind, body[:-4] if kind == b"IDAT" else body) for kind, body in chunks(data)]
    return data[:8] + b"".join(parts)


def by_pillow(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def chunks(data):
    at = 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body, check = data[at + 4 : at + 8], data[at + 8 : at + 8 + length], data[at + 8 + length :][:4]
        assert struct.unpack(">I", check)[0] == zlib.crc32(kind + body)
        yield kind, body
        at += length + 12


def pictures():
    """Label pictures of many kinds: blank margins of every length, blobs, noise, all values."""
    generator = np.random.default_rng(31)
    for height, width in [(1, 1), (1, 40), (40, 1), (16, 3), (17, 3), (15, 300), (64, 64), (100, 31)]:
        yield np.zeros((height, width), np.uint8)
        yield np.full((height, width), 255, np.uint8)
        for _ in range(25):
            pixels = generator.integers(0, generator.integers(2, 257), (height, width)).astype(np.uint8)
            pixels[: generator.integers(0, height + 1)] = 0
            pixels[height - generator.integers(0, height + 1) :] = 0
            yield pixels
    yield np.arange(256, dtype=np.uint8).reshape(16, 16)


# --- writing ---


def test_pillow_reads_what_is_written():
    for pixels in pictures():
        for layout in (pixels, np.asfortranarray(pixels), pixels[::-1, ::-1]):
            with Image.open(io.BytesIO(png.encode(layout))) as image:
                assert image.mode == "L"
                assert (np.asarray(image) == layout).all()
            assert (png.decode(png.encode(layout)) == layout).all()


def test_memory_layout_changes_no_byte():
    for pixels in pictures():
        assert png.encode(pixels) == png.encode(np.asfortranarray(pixels)) == png.encode(pixels.copy())


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 40), (100, 33), (64, 200)])
def test_lines_between_margins_give_the_bytes_of_the_whole_picture(size):
    generator = np.random.default_rng(sum(size))
    height, width = size
    for _ in range(50):
        top, left = int(generator.integers(height)), int(generator.integers(width))
        rows, columns = int(generator.integers(1, height - top + 1)), int(generator.integers(1, width - left + 1))
        whole = np.zeros(size, np.uint8)
        whole[top : top + rows, left : left + columns] = generator.integers(0, 3, (rows, columns))
        whole[top, left] = whole[top + rows - 1, left + columns - 1] = 1
        above, below = png.margins(top, top + rows - 1, height)
        lines = np.pad(whole, ((0, 0), (1, 0)))[above : height - below].tobytes()
        data = png.encode_lines(lines, height, width, above, below)
        assert data == png.encode(whole)
        assert (np.asarray(Image.open(io.BytesIO(data))) == whole).all()


@pytest.mark.parametrize(("above", "below", "size"), [(0, 0, 19), (0, 0, 21), (1, 0, 20), (2, 2, 0), (3, 3, 10)])
def test_lines_and_margins_must_make_up_the_picture(above, below, size):
    with pytest.raises(ValueError, match="are not 4 x 4"):
        png.encode_lines(bytes(size), 4, 4, above, below)


def test_written_files_are_what_nucleus_wants():
    pixels = np.zeros((480, 640), np.uint8)
    pixels[100:200, 50:600] = 7
    data = png.encode(pixels)
    assert png.read_header(data) == (640, 480, 8, 0, False)
    kinds = [kind for kind, _ in chunks(data)]
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    stream = b"".join(body for kind, body in chunks(data) if kind == b"IDAT")
    raw = zlib.decompress(stream)  # checks Adler-32, which the margins are left out of while compressing
    assert len(raw) == 480 * 641
    assert len(data) < 2 * len(by_pillow(Image.fromarray(pixels)))


def test_zlib_ng_gives_the_same_bytes(monkeypatch):
    zlib_ng = pytest.importorskip("zlib_ng.zlib_ng", reason="setup.cfg does not ask for it on this kind of machine")
    files = {}
    for library in (zlib, zlib_ng):
        monkeypatch.setattr(png, "deflate", library)
        png._zeros.cache_clear()
        files[library] = [png.encode(pixels) for pixels in pictures()]
    png._zeros.cache_clear()
    assert files[zlib] == files[zlib_ng]


def test_palette_pictures():
    for pixels in pictures():
        data = png.encode(pixels, palette=voc_palette())
        with Image.open(io.BytesIO(data)) as image:
            assert image.mode == "P"
            assert bytes(image.getpalette()) == voc_palette()
            assert (np.asarray(image) == pixels).all()
        assert (png.decode(data) == pixels).all()


def test_voc_palette_is_that_of_the_devkit():
    palette = np.frombuffer(voc_palette(), np.uint8).reshape(-1, 3)
    known = {
        0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 5: (128, 0, 128),
        6: (0, 128, 128), 7: (128, 128, 128), 8: (64, 0, 0), 9: (192, 0, 0), 10: (64, 128, 0),
        11: (192, 128, 0), 12: (64, 0, 128), 13: (192, 0, 128), 14: (64, 128, 128), 15: (192, 128, 128),
        16: (0, 64, 0), 17: (128, 64, 0), 18: (0, 192, 0), 19: (128, 192, 0), 20: (0, 64, 128),
        21: (128, 64, 128), 63: (192, 192, 192), 64: (32, 0, 0), 128: (0, 32, 0), 255: (224, 224, 192),
    }  # fmt: skip
    assert {index: tuple(palette[index].tolist()) for index in known} == known
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


def test_sixteen_bits():
    counted = np.arange(40_000, dtype=np.uint16).reshape(200, -1).T
    for pixels in (np.array([[6659, 0], [65535, 255]], np.uint16), counted):
        data = png.encode_deep(pixels)
        assert png.read_header(data).depth == 16
        found = png.decode(data)
        assert found.dtype == np.uint16
        assert (found == pixels).all()
        with Image.open(io.BytesIO(data)) as image:
            assert (np.asarray(image) == pixels).all()
    for wrong in (np.zeros((2, 2), np.uint8), np.zeros(4, np.uint16), np.zeros((0, 4), np.uint16)):
        with pytest.raises(ValueError, match="2-D uint16"):
            png.encode_deep(wrong)


def test_panoptic_ids():
    assert png.decode_ids(png.encode_ids(np.array([[197887]]))).tolist() == [[197887]]
    generator = np.random.default_rng(37)
    for dtype in (np.int32, np.uint32, np.int64, np.uint8):
        for order in "CF":
            ids = generator.integers(0, min(2**24, np.iinfo(dtype).max + 1), (33, 20)).astype(
                dtype, order=order
            )
            ids[:17] = 0
            data = png.encode_ids(ids)
            with Image.open(io.BytesIO(data)) as image:
                assert image.mode == "RGB"
                colours = np.asarray(image).astype(int)
            assert (colours @ [1, 256, 65536] == ids).all()
            found = png.decode_ids(data)
            assert found.dtype == np.uint32
            assert (found == ids).all()
    with Image.open(io.BytesIO(png.encode_ids(np.array([[197887]])))) as image:
        assert image.getpixel((0, 0)) == (255, 4, 3)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 0), np.uint8),
        np.zeros((2, 2, 3), np.uint8),
        np.zeros((2, 2), np.int64),
    ],
)
def test_only_labels_are_encoded(pixels):
    with pytest.raises(ValueError, match="2-D uint8"):
        png.encode(pixels)


@pytest.mark.parametrize("ids", [[[-1]], [[2**24]]])
def test_only_ids_of_three_bytes_are_encoded(ids):
    with pytest.raises(ValueError, match="not from 0 to 2\\^24 - 1"):
        png.encode_ids(np.array(ids))


@pytest.mark.parametrize("palette", [b"", b"1234", bytes(6), bytes(771)])
def test_a_palette_must_hold_every_index(palette):
    with pytest.raises(ValueError, match="does not give every index three"):
        png.encode(np.array([[0, 2]], np.uint8), palette=palette)


# --- reading ---


@pytest.mark.parametrize(
    ("depth", "row", "values", "dtype"),
    [
        (1, b"\x50", [0, 1, 0, 1], np.uint8),
        (2, b"\x1b", [0, 1, 2, 3], np.uint8),
        (4, b"\x01\x2f", [0, 1, 2, 15], np.uint8),
        (8, b"\x01\x02\x80\xff", [1, 2, 128, 255], np.uint8),
        (16, b"\1\0\0\2\xff\xff\0\1", [256, 2, 65535, 1], np.uint16),
    ],
)
def test_grey_levels_come_as_stored(depth, row, values, dtype):
    for extra in (b"", chunk(b"tRNS", b"\0\1")):
        pixels = png.decode(by_hand(4, 2, depth, 0, [row, row], extra=extra))
        assert pixels.tolist() == [values, values]
        assert pixels.dtype == dtype


@pytest.mark.parametrize(
    ("depth", "row", "values"),
    [
        (1, b"\x50", [0, 1, 0, 1]),
        (2, b"\x1b", [0, 1, 2, 3]),
        (4, b"\x01\x2f", [0, 1, 2, 15]),
        (8, b"\x00\x01\x02\x0f", [0, 1, 2, 15]),
    ],
)
def test_palette_pictures_give_indices_not_colours(depth, row, values):
    palette = bytes(reversed(range(200, 200 + 3 * min(16, 2**depth))))
    for extra in (b"", chunk(b"tRNS", b"\0\1")):
        pixels = png.decode(by_hand(4, 1, depth, 3, [row], palette=palette, extra=extra))
        assert pixels.tolist() == [values]
        assert pixels.dtype == np.uint8


def interlaced(pixels):
    """The same 8-bit picture in the seven passes of Adam7."""
    height, width = pixels.shape
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    rows = [row.tobytes() for y, x, down, across in passes for row in pixels[y::down, x::across] if row.size]
    return by_hand(width, height, 8, 0, rows, interlace=1)


def test_interlaced_pictures():
    generator = np.random.default_rng(41)
    for height, width in [(1, 1), (3, 5), (8, 8), (21, 13)]:
        pixels = generator.integers(0, 256, (height, width)).astype(np.uint8)
        data = interlaced(pixels)
        assert png.read_header(data).interlaced
        assert (png.decode(data) == pixels).all()


def test_every_filter_and_level_of_pillow():
    for pixels in pictures():
        for options in ({}, {"compress_level": 0}, {"optimize": True}):
            assert (png.decode(by_pillow(Image.fromarray(pixels), **options)) == pixels).all()


def test_opaque_grey_in_disguise_is_read():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    grey = Image.fromarray(pixels)
    for mode in ("RGB", "RGBA", "LA"):
        found = png.decode(by_pillow(grey.convert(mode)))
        assert found.tolist() == pixels.tolist()
        assert found.dtype == np.uint8


def test_colours_and_transparency_are_refused():
    with pytest.raises(SchemaError, match=r"masks/a\.png: PNG holds colours"):
        png.decode(by_pillow(Image.new("RGB", (3, 3), (5, 5, 6))), name="masks/a.png")
    for image in (Image.new("RGBA", (3, 3), (5, 5, 5, 254)), Image.new("LA", (3, 3), (5, 0))):
        with pytest.raises(SchemaError, match="partly transparent"):
            png.decode(by_pillow(image))
    with pytest.raises(SchemaError, match="16-bit with colour or alpha"):
        png.decode(by_hand(1, 1, 16, 2, [b"\0\1\0\1\0\1"]))


def test_ids_from_palettes_and_from_alpha():
    ids = np.array([[197887, 0], [5, 197887]])
    with Image.open(io.BytesIO(png.encode_ids(ids))) as image:
        assert (png.decode_ids(by_pillow(image.convert("RGBA"))) == ids).all()
        few = image.quantize(8)
        assert (np.asarray(few.convert("RGB")) == np.asarray(image)).all()
        assert (png.decode_ids(by_pillow(few)) == ids).all()


@pytest.mark.parametrize("data", [by_hand(1, 1, 8, 0, [b"\5"]), by_hand(1, 1, 16, 2, [bytes(6)])])
def test_ids_need_three_bytes(data):
    with pytest.raises(SchemaError, match=r"b\.png: PNG is not 8-bit RGB"):
        png.decode_ids(data, name="b.png")


def test_decoded_pixels_may_be_painted_on():
    pixels = np.zeros((4, 5), np.uint8)
    for data in (png.encode(pixels), interlaced(pixels), by_pillow(Image.new("RGB", (5, 4)))):
        found = png.decode(data)
        found[1, 2] = 9
        assert found.flags.c_contiguous


def test_pixels_in_several_chunks():
    pixels = np.arange(200, dtype=np.uint8).reshape(10, 20)
    body = dict(chunks(png.encode(pixels)))[b"IDAT"]
    data = png.encode(pixels)
    split = b"".join(chunk(b"IDAT", body[i : i + 7]) for i in range(0, len(body), 7))
    data = data.replace(chunk(b"IDAT", body), chunk(b"tEXt", b"Comment\0no pixels") + split)
    assert (png.decode(data) == pixels).all()


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no sample files in {SAMPLES}")
def test_every_label_picture_of_the_samples():
    seen = 0
    for path in sorted(SAMPLES.rglob("*.png")):
        data = path.read_bytes()
        with Image.open(path) as image:
            expected = np.asarray(image)
            assert png.png_size(path) == (image.height, image.width)
            mode = image.mode
        if mode in ("L", "P"):
            assert (png.decode(data) == expected).all()
            seen += 1
        elif mode == "RGB":
            ids = png.decode_ids(data)
            assert (ids == expected.astype(int) @ [1, 256, 65536]).all()
            assert (png.decode_ids(png.encode_ids(ids)) == ids).all()
            seen += 1
    assert seen >= 4


# --- sizes and damage ---


def test_size_from_the_header_alone(tmp_path):
    path = tmp_path / "big.png"
    path.write_bytes(by_hand(70000, 90000, 8, 0, [b""])[:33])
    assert png.png_size(path) == (90000, 70000)
    other = tmp_path / "other.png"
    other.write_text("no picture")
    with pytest.raises(MalformedFileError, match=r"other\.png: not a PNG file"):
        png.png_size(other)


def test_bombs_are_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(png.Image, "open", None)  # would fail if it came to that
    bomb = by_hand(100_000, 100_000, 8, 0, [bytes(10)])
    with pytest.raises(SchemaError, match=r"c\.png: PNG of 100000 x 100000 .* more than 134217728 pixels"):
        png.decode(bomb, name="c.png")
    with pytest.raises(SchemaError, match="more than 134217728 pixels"):
        png.decode_ids(by_hand(100_000, 100_000, 8, 2, [bytes(30)]))
    with pytest.raises(SchemaError, match="more than 11 pixels"):
        png.decode(by_hand(4, 3, 8, 0, [bytes(4)] * 3), max_pixels=11)


def test_above_pillows_own_limit_it_is_still_our_error(monkeypatch):
    monkeypatch.setattr(png.Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(SchemaError, match="too large for Pillow"):
        png.decode(interlaced(np.zeros((30, 30), np.uint8)))


def test_pillows_warning_of_large_pictures_is_not_ours(monkeypatch):
    monkeypatch.setattr(png.Image, "MAX_IMAGE_PIXELS", 8)
    assert png.decode(interlaced(np.zeros((3, 4), np.uint8))).shape == (3, 4)  # warnings are errors in tests


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PNG file: it is empty"),
        (b"\xff\xd8\xff\xe0 JFIF", "not a PNG file but JPEG"),
        (b"GIF89a", "not a PNG file but GIF"),
        (b"BM1234", "not a PNG file but BMP"),
        (b"II*\0", "not a PNG file but TIFF"),
        (b"RIFF1234WEBPVP8 ", "not a PNG file but WebP"),
        (b"{}", "not a PNG file"),
        (b"\x89PNG\r\n\x1a\n", "header is cut short"),
        (b"\x89PNG\n\x1a\n" + bytes(40), "not a PNG file"),
        (by_hand(1, 1, 8, 0, [b"\0"])[:30], "header is cut short"),
        (by_hand(1, 1, 8, 0, [b"\0"]).replace(b"IHDR\0\0\0\1", b"IHDR\0\0\0\2"), "checksum"),
        (by_hand(0, 1, 8, 0, []), "impossible size 0 x 1"),
        (by_hand(2**31, 1, 8, 0, []), "impossible size"),
        (by_hand(1, 1, 3, 0, [b"\0"]), "unknown kind"),
        (by_hand(1, 1, 16, 3, [b"\0\0"]), "unknown kind"),
        (by_hand(1, 1, 8, 1, [b"\0"]), "unknown kind"),
        (by_hand(1, 1, 8, 0, [b"\0"], interlace=2), "unknown kind"),
        (by_hand(4, 4, 8, 0, [bytes(4)] * 4)[:-20], "it is cut short"),
        (by_hand(4, 4, 8, 0, [bytes(4)] * 4)[:33], "20 of 20 bytes of pixels are missing"),
        (by_hand(4, 4, 8, 0, [bytes(4)] * 3), "5 of 20 bytes of pixels are missing"),
        (by_hand(4, 4, 1, 0, [b"\0"] * 3, interlace=1), "14 bytes of pixels are missing"),
        (
            by_hand(4, 4, 8, 0, [bytes(4)] * 4).replace(b"IDATx", b"IDATy"),
            "the checksum of its pixels is wrong",
        ),
        (without_adler(by_hand(4, 4, 8, 0, [bytes(4)] * 4)), "the pixels' checksum is missing"),
    ],
)
def test_what_is_no_png_is_named(data, message):
    with pytest.raises(MalformedFileError, match=message) as caught:
        png.decode(data, name="masks/x.png")
    assert str(caught.value).startswith("masks/x.png: ")


def test_damage_gives_the_same_pixels_or_our_error():
    source = random.Random(43)
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    wholes = [by_pillow(Image.fromarray(pixels)), png.encode(pixels), interlaced(pixels)]
    refused = 0
    for _ in range(2000):
        data = bytearray(source.choice(wholes))
        for _ in range(source.randint(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        if source.random() < 0.3:
            del data[source.randrange(len(data)) :]
        try:
            assert (png.decode(bytes(data)) == pixels).all()
        except (MalformedFileError, SchemaError):
            refused += 1
    assert refused > 1000


def test_pillow_is_not_told_to_forgive():
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


# --- the whole trip ---


def test_ten_thousand_masks_there_and_back(ten_thousand_masks):
    for number, mask in enumerate(ten_thousand_masks):
        height, width = mask.shape
        runs = masks.from_array(mask)
        counts = masks.encode_counts(runs)
        index = number % 255 + 1
        pixels, lost = indexmap.paint([(index, masks.decode_counts(counts))], height, width)
        assert lost == (0,)
        back = indexmap.split(png.decode(png.encode(pixels)))
        assert {i: masks.encode_counts(r) for i, r in back.items()} == ({index: counts} if mask.any() else {})

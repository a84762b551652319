"""RLE codecs and rasterising, held against pycocotools and the vectors of the fact sheet."""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as oracle

from nucleus_convert.converters import indexmap, masks, raster
from nucleus_convert.converters.errors import SchemaError, Where

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples" / "coco"
# pycocotools' decode, the oracle here, is behind numpy's times; our code never calls it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
STABLE = settings(deadline=None, derandomize=True, database=None, max_examples=300)

DISC = [29, 1, 9, 5, 6, 7, 5, 7, 4, 9, 4, 7, 5, 7, 6, 5, 9, 1, 18]
VECTORS = [  # height, width, counts, string, area, box
    (3, 4, [3, 2, 1, 2, 4], "32103", 4, (1, 0, 2, 2)),
    (3, 4, [0, 2, 2, 1, 6, 1], "022O40", 4, (0, 0, 4, 3)),
    (3, 4, [12], "<", 0, (0, 0, 0, 0)),
    (3, 4, [0, 12], "0<", 12, (0, 0, 4, 3)),
    (10, 10, [32, 3, 7, 3, 7, 3, 7, 3, 35], "P13700000l0", 12, (3, 2, 4, 3)),
    (12, 12, DISC, "m0194M2O0O20N101N3L9", 49, (2, 1, 9, 9)),
    (100, 100, [0, 90, 10, 90, 10, 90, 60, 2, 9648], "0j2:000b1XMd[9", 272, (0, 0, 4, 90)),
    (19, 57, [1000, 16, 15, 47, 5], "Xo0`0?o0F", 63, None),
    (5, 10, [44, 6], r"\16", 6, (8, 0, 2, 5)),
    (12, 10, [69, 1, 9, 3, 9, 3, 11, 1, 14], "U2192002N3", 8, (5, 7, 4, 3)),
]


def encoded(mask):
    return oracle.encode(np.asfortranarray(mask))


def random_runs(random, length):
    return random.integers(0, random.choice([3, 40, 5000, 2**32]), length)


# --- strings ---


@pytest.mark.parametrize(("height", "width", "runs", "text", "area", "box"), VECTORS)
def test_vectors_of_the_fact_sheet(height, width, runs, text, area, box):
    decoded = masks.decode_counts(text)
    assert decoded.tolist() == runs
    assert masks.decode_counts(text.encode()).tolist() == runs
    assert masks.encode_counts(runs) == text
    assert masks.encode_counts(decoded) == text
    assert masks.area(decoded) == area
    if box is not None:
        assert masks.box(decoded, height) == box
    masks.check_runs(decoded, height, width)


def test_disc_is_the_disc_it_says():
    rows, columns = np.indices((12, 12))
    disc = (rows - 5) ** 2 + (columns - 6) ** 2 <= 16
    assert masks.from_array(disc).tolist() == DISC
    assert (masks.to_array(np.array(DISC), 12, 12) == disc).all()


def test_strings_are_those_of_pycocotools(ten_thousand_masks):
    for mask in ten_thousand_masks:
        height, width = mask.shape
        expected = encoded(mask)
        text = expected["counts"].decode()
        runs = masks.from_array(mask)
        assert masks.encode_counts(runs) == text
        assert masks.decode_counts(text).tolist() == runs.tolist()
        assert masks.is_canonical(runs)
        assert masks.area(runs) == oracle.area(expected)
        assert masks.box(runs, height) == tuple(oracle.toBbox(expected))
        assert (masks.to_array(runs, height, width) == mask).all()


def test_long_runs_survive():
    random = np.random.default_rng(7)
    for length in [1, 2, 3, 4, 5, 20, 500, 5000]:
        for _ in range(40):
            runs = random_runs(random, length)
            assert masks.decode_counts(masks.encode_counts(runs)).tolist() == runs.tolist()


def test_short_and_long_runs_are_encoded_alike(ten_thousand_masks):
    for mask in ten_thousand_masks[::10]:
        runs = masks.from_array(mask)
        assert masks._encode_long(runs) == encoded(mask)["counts"].decode()


def test_long_runs_are_those_of_pycocotools():
    runs = [2**24, 2**25 + 7, 16, 2**24 + 1, 15, 31, 1]  # its buffer holds these
    rle = oracle.frPyObjects({"size": [1, sum(runs)], "counts": runs}, 1, 1)
    assert masks.encode_counts(runs) == rle["counts"].decode()


@STABLE
@given(st.lists(st.integers(0, 2**32 - 1), max_size=60))
def test_any_runs_survive(runs):
    assert masks.decode_counts(masks.encode_counts(runs)).tolist() == runs




def test_what_is_decoded_is_the_callers_own() -> None:
    runs = np.array([3, 4, 5], np.int64)
    text = masks.encode_counts(runs)
    runs[0] = 99
    masks.decode_counts(text)[1] = 99
    assert masks.decode_counts(text).tolist() == [3, 4, 5]


def test_only_the_text_that_encoding_gives_is_usual() -> None:
    for runs in ([3, 4, 5], [0, 7], [12]):
        text = oracle.frPyObjects({"size": [1, 1], "counts": runs}, 1, 1)["counts"].decode()
        assert masks.is_usual(text, np.array(runs))
    longer = "S0" + "4"  # 3 in two groups of five bits, where one does
    assert masks.decode_counts(longer).tolist() == [3, 4]
    assert not masks.is_usual(longer, np.array([3, 4]))
    assert not masks.is_usual(masks.encode_counts([3, 0, 4]), np.array([3, 0, 4]))  # runs that are not canonical


@pytest.mark.parametrize(
    "runs", [[1, True], [1, 2.0], [1, 2**64], [1, -1], [1, 2**32], ["1"], [[1]], [None], (1, 2), []]
)
def test_runs_given_in_any_way(runs: Any) -> None:
    if list(runs) in ([1, 2], [1, 2.0], [1, True], []):
        assert masks.as_runs(runs).tolist() == list(runs)
    else:
        with pytest.raises(SchemaError):
            masks.as_runs(runs)


@STABLE
@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=30))
def test_any_text_decodes_or_is_refused(text):
    try:
        runs = masks.decode_counts(text)
    except SchemaError:
        return
    assert all(0 <= run < 2**32 for run in runs.tolist())
    assert masks.decode_counts(masks.encode_counts(runs)).tolist() == runs.tolist()


@pytest.mark.parametrize("bad", [*string.ascii_lowercase[15:], " ", "\n", "~", "/", "é", "\x80", "\0"])
def test_foreign_characters_are_refused_by_name(bad):
    with pytest.raises(SchemaError, match="hold the character") as caught:
        masks.decode_counts("32" + bad + "103", where=Where(file="a.json", annotation="7"))
    assert repr(bad) in str(caught.value)
    assert "a.json, annotation 7" in str(caught.value)


def test_foreign_bytes_are_refused():
    with pytest.raises(SchemaError, match="hold the character"):
        masks.decode_counts(b"32\xff")


@pytest.mark.parametrize("text", ["3X", "X", "Xo", "32103P"])
def test_cut_strings_are_refused(text):
    with pytest.raises(SchemaError, match="middle of a number"):
        masks.decode_counts(text)


@pytest.mark.parametrize("text", ["O", "0O", "333I", "33330I", "PPPPPP4"])
def test_runs_out_of_range_are_refused(text):
    with pytest.raises(SchemaError, match="below 0 or above"):
        masks.decode_counts(text)


def test_overlong_numbers_are_refused():
    with pytest.raises(SchemaError, match="35 bits"):
        masks.decode_counts("PPPPPPP0")


def test_groups_longer_than_needed_are_read():
    assert masks.decode_counts("SPP0").tolist() == [3]


def test_empty_string_has_no_runs_and_fits_no_size():
    assert masks.decode_counts("").tolist() == []
    assert masks.encode_counts([]) == ""
    with pytest.raises(SchemaError, match="cover 0 pixels"):
        masks.read_counts("", 2, 2)


@pytest.mark.parametrize(
    "runs",
    [[-1, 5], [2**32], [2**64], [1.5], ["3"], [[1, 2]], [1, [2]], [None], [float("nan")], [float("inf")]],
)
def test_count_lists_that_are_none_are_refused(runs):
    with pytest.raises(SchemaError, match="RLE counts"):
        masks.encode_counts(runs)


def test_whole_floats_are_counts():
    assert masks.as_runs([3.0, 2.0]).tolist() == [3, 2]


# --- checks ---


@pytest.mark.parametrize("counts", [r"d0d0:F\0", [50, 49], [50, 51], [0], [100, 1]])
def test_runs_that_do_not_fill_the_size_are_refused(counts):
    with pytest.raises(SchemaError, match="size 10 x 10 has 100"):
        masks.read_counts(counts, 10, 10)


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-1, -4), (0, 0)])
def test_empty_sizes_are_refused(height, width):
    with pytest.raises(SchemaError, match="is empty"):
        masks.read_counts([0], height, width)


def test_huge_sizes_are_refused_before_allocation():
    with pytest.raises(SchemaError, match="more than 2147483647 pixels"):
        masks.read_counts([10**9, 10**9], 10**9, 10**9)
    runs = np.array([2**29])
    masks.check_runs(runs, 2**15, 2**14)
    with pytest.raises(SchemaError, match="more than 268435456 pixels"):
        masks.to_array(runs, 2**15, 2**14)
    with pytest.raises(SchemaError, match="more than 99 pixels"):
        masks.to_array(np.array([100]), 10, 10, max_pixels=99)
    with pytest.raises(SchemaError, match="more than 2147483647 pixels"):
        masks.check_size(2**16, 2**16, max_pixels=2**40)


# --- normal form ---


@STABLE
@given(st.lists(st.integers(0, 6), min_size=1, max_size=14), st.integers(1, 6))
def test_a_patch_is_what_pycocotools_cuts_out(runs: list[int], height: int) -> None:
    width = -(-(sum(runs) or 1) // height)
    runs[-1] += height * width - sum(runs)
    whole = oracle.decode(oracle.frPyObjects({"size": [height, width], "counts": runs}, height, width))
    left, top, patch = masks.patch(np.array(runs, np.int64), height)
    rows, columns = np.nonzero(whole)
    if not len(rows):
        assert patch.size == 0
    else:
        assert (left, top) == (columns.min(), rows.min())
        assert (patch == whole[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]).all()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_canonical_keeps_the_pixels(runs):
    runs = np.array(runs)
    normal = masks.canonical(runs)
    assert masks.is_canonical(normal)
    assert masks.expand(normal).tolist() == masks.expand(runs).tolist()
    pixels = masks.expand(runs)[np.newaxis]
    if pixels.size:
        assert normal.tolist() == masks.from_array(pixels).tolist()
    assert masks.is_canonical(runs) == (normal.tolist() == runs.tolist())
    assert masks.area(runs) == pixels.sum()
    if pixels.size:
        assert masks.box(runs, 1) == masks.box(normal, 1)


# --- set operations ---


def test_union_and_iou_are_those_of_arrays():
    random = np.random.default_rng(3)
    for _ in range(300):
        height, width = (int(n) for n in random.integers(1, 20, 2))
        several = random.random((3, height, width)) < random.random((3, 1, 1))
        texts = [masks.encode_counts(masks.from_array(mask)) for mask in several]
        joined = masks.union(texts, height, width)
        assert joined == masks.encode_counts(masks.from_array(several.any(axis=0)))
        either = (several[0] | several[1]).sum()
        expected = (several[0] & several[1]).sum() / either if either else 1.0
        assert masks.iou(texts[0], texts[1], height, width) == pytest.approx(expected)
    with pytest.raises(ValueError, match="no masks"):
        masks.union([], 3, 3)


# --- row-major rectangles ---

CVAT = [  # from the fact sheet: rectangle, its rows
    ("1, 4, 1", [[0, 1, 1], [1, 1, 0]]),
    ("0, 2, 2, 2", [[1, 1, 0], [0, 1, 1]]),
    ("1, 2, 2, 2, 1, 4", [[0, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1]]),
]


@pytest.mark.parametrize(("rle", "rows"), CVAT)
def test_cvat_vectors(rle, rows):
    mask = np.array(rows)
    height, width = mask.shape
    whole = np.zeros((12, 10), np.uint8)
    whole[7 : 7 + height, 5 : 5 + width] = mask
    runs = masks.as_runs([int(n) for n in rle.split(",")])
    found = masks.from_row_major(runs, 5, 7, width, height, image_height=12, image_width=10)
    assert masks.encode_counts(found) == encoded(whole)["counts"].decode()
    left, top, *size, back = masks.to_row_major(found, 12)
    assert (left, top, *size) == (5, 7, width, height)
    assert ", ".join(map(str, back)) == rle


def test_cvat_vector_in_coco():
    runs = masks.from_row_major(np.array([1, 2, 2, 2, 1, 4]), 5, 7, 4, 3, image_height=12, image_width=10)
    assert masks.encode_counts(runs) == "U2192002N3"
    assert masks.area(runs) == 8
    assert masks.box(runs, 12) == (5, 7, 4, 3)


def test_row_major_there_and_back(ten_thousand_masks):
    for mask in ten_thousand_masks[::4]:
        height, width = mask.shape
        runs = masks.from_array(mask)
        left, top, columns, rows, inner = masks.to_row_major(runs, height)
        if not mask.any():
            assert (left, top, columns, rows, len(inner)) == (0, 0, 0, 0, 0)
            continue
        assert (left, top, columns, rows) == masks.box(runs, height)
        assert inner.tolist() == masks.from_array(mask[top : top + rows, left : left + columns].T).tolist()
        back = masks.from_row_major(inner, left, top, columns, rows, image_height=height, image_width=width)
        assert back.tolist() == runs.tolist()


def test_row_major_parts_outside_the_image_are_cut_off():
    random = np.random.default_rng(5)
    for _ in range(500):
        rectangle = random.random(random.integers(1, 9, 2)) < 0.6
        rows, columns = rectangle.shape
        height, width = (int(n) for n in random.integers(1, 9, 2))
        left, top = (int(n) for n in random.integers(-12, 13, 2))
        canvas = np.zeros((60, 60), bool)
        canvas[25 + top : 25 + top + rows, 25 + left : 25 + left + columns] = rectangle
        expected = masks.from_array(canvas[25 : 25 + height, 25 : 25 + width])
        runs = masks.from_array(rectangle.T)
        found = masks.from_row_major(runs, left, top, columns, rows, image_height=height, image_width=width)
        assert found.tolist() == expected.tolist()


def test_row_major_reads_runs_that_are_not_canonical():
    runs = np.array([4, 0, 2, 3, 0, 0, 0, 2, 5, 0])  # 4 x 4, column-major
    normal = masks.canonical(runs)
    assert normal.tolist() == [6, 5, 5]
    found, expected = masks.to_row_major(runs, 4), masks.to_row_major(normal, 4)
    assert found[:4] == expected[:4] == (1, 0, 2, 4)
    assert found[4].tolist() == expected[4].tolist()


def test_row_major_refuses_runs_of_another_size():
    with pytest.raises(SchemaError, match="size 3 x 4 has 12"):
        masks.from_row_major(np.array([1, 4, 1]), 0, 0, 4, 3, image_height=9, image_width=9)


# --- polygons ---

POLYGONS = [  # ring, height, width, area, string
    ([2, 1, 6, 1, 6, 4, 2, 4], 8, 10, 12, "a03500000o0"),
    ([1, 1, 7, 1, 1, 7], 8, 10, 15, "953O1O1O1OP1"),
    ([1, 1, 9, 9, 9, 1, 1, 9], 10, 10, 32, None),
    ([-2.5, -2.5, 3.5, -2.5, 3.5, 3.5, -2.5, 3.5], 10, 10, 16, None),
    ([1, 1, 4, 1, 4, 4, 1, 4], 10, 10, 9, None),
    ([1.5, 1.5, 4.5, 1.5, 4.5, 4.5, 1.5, 4.5], 10, 10, 9, None),
    ([1, 1, 7, 1, 1, 7], 10, 10, 15, None),
    ([5, 1, 9, 5, 5, 9, 1, 5], 10, 10, 32, None),
    ([1, 1, 9, 1, 9, 9, 1, 9, 1, 1, 3, 3, 3, 7, 7, 7, 7, 3, 3, 3], 10, 10, 48, None),
    ([1.1, 1.1, 1.4, 1.1, 1.4, 1.4], 10, 10, 0, None),
]


@pytest.mark.parametrize(("ring", "height", "width", "area", "text"), POLYGONS)
def test_polygon_vectors(ring, height, width, area, text):
    counts = raster.from_polygons([ring], height, width)
    assert masks.area(masks.decode_counts(counts)) == area
    assert text is None or counts == text
    assert raster.from_polygons([[*ring, *ring[:2]]], height, width) == counts  # closed explicitly


def test_parts_are_united_and_holes_cut_out():
    outer, inner = [1, 1, 9, 1, 9, 9, 1, 9], [3, 3, 3, 7, 7, 7, 7, 3]
    assert masks.area(masks.decode_counts(raster.from_polygons([outer, inner], 10, 10))) == 64
    assert masks.area(masks.decode_counts(raster.from_parts([[outer, inner]], 10, 10))) == 48
    assert masks.area(masks.decode_counts(raster.from_parts([[outer, inner], [inner]], 10, 10))) == 64
    hole = [4.2, 4.1, 4.7, 5.9, 5.6, 4.4]
    three = raster.from_parts([[outer, inner, hole]], 10, 10)  # an island in the hole
    assert masks.area(masks.decode_counts(three)) == 48 + masks.area(
        masks.decode_counts(raster.from_polygons([hole], 10, 10))
    )


def test_holes_of_any_coordinates_are_the_exclusive_or_of_rings():
    random = np.random.default_rng(11)
    for _ in range(300):
        rings = [random.uniform(-5, 35, 2 * n).round(2).tolist() for n in random.integers(3, 9, 4)]
        drawn = [oracle.decode(oracle.frPyObjects([ring], 30, 30)[0]) for ring in rings]
        expected = drawn[0] ^ drawn[1] ^ drawn[2] ^ drawn[3]
        assert raster.from_parts([rings], 30, 30) == encoded(expected)["counts"].decode()


def test_random_polygons_are_those_of_pycocotools_and_canonical():
    random = np.random.default_rng(13)
    for _ in range(500):
        height, width = (int(n) for n in random.integers(1, 60, 2))
        parts = [
            random.uniform(-20, 80, 2 * n).tolist() for n in random.integers(3, 12, random.integers(1, 4))
        ]
        expected = encoded(oracle.decode(oracle.merge(oracle.frPyObjects(parts, height, width))))
        assert raster.from_polygons(parts, height, width) == expected["counts"].decode()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "no parts"),
        ([[]], "has 0 numbers"),
        ([[1, 1, 5, 5]], "has 4 numbers"),
        ([[1, 1, 5, 1, 5, 5], [1, 1, 5, 5]], "has 4 numbers"),
        ([[1, 1, 5, 1, 5, 5, 7]], "has 7 numbers"),
        ([[1, 1, 5, 1, 5, float("nan")]], "not a finite number"),
        ([[1, 1, 5, 1, 5, float("inf")]], "not a finite number"),
        ([[float("-inf"), float("inf"), 5, 1, 5, 5]], "not a finite number"),
        ([[0, 0, 1e9, 0, 0, 1e9]], "too long to draw"),
        ([[1e9, 1e9, 1e9 + 5, 1e9, 1e9, 1e9 + 5]], "2\\^28 pixels away"),
    ],
)
def test_what_pycocotools_would_choke_on_is_refused(parts, message):
    with pytest.raises(SchemaError, match=message):
        raster.from_polygons(parts, 10, 10)


def test_polygon_needs_a_size():
    with pytest.raises(SchemaError, match="is empty"):
        raster.from_polygons([[1, 1, 5, 1, 5, 5]], 0, 10)


# --- index maps ---


def test_paint_puts_later_on_top_and_counts_what_is_lost():
    random = np.random.default_rng(17)
    lossy = 0
    for _ in range(300):
        height, width = (int(n) for n in random.integers(1, 30, 2))
        indices = random.permutation(np.arange(1, 256))[:5].tolist()
        layers = [random.random((height, width)) < random.random() ** 2 for _ in indices]
        expected = np.zeros((height, width), np.uint8)
        for index, layer in zip(indices, layers, strict=True):
            expected[layer] = index
        pixels, lost = indexmap.paint(
            [(index, masks.from_array(layer)) for index, layer in zip(indices, layers, strict=True)],
            height,
            width,
        )
        assert (pixels == expected).all()
        assert pixels.dtype == np.uint8
        wanted = [int((layer & (expected != i)).sum()) for i, layer in zip(indices, layers, strict=True)]
        assert list(lost) == wanted
        lossy += any(wanted)
    assert lossy > 100


def test_overlap_within_one_class_loses_nothing():
    one, two = np.array([0, 6, 10]), np.array([4, 6, 6])
    pixels, lost = indexmap.paint([(9, one), (9, two)], 4, 4)
    assert lost == (0, 0)
    assert (pixels == 9).sum() == 10
    assert indexmap.paint([(9, one), (9, two), (3, np.array([0, 1, 15]))], 4, 4).lost == (1, 0, 0)


def test_paint_refuses_what_does_not_fit():
    for index in (0, 256, -1):
        with pytest.raises(ValueError, match="not from 1 to 255"):
            indexmap.paint([(index, np.array([0, 4]))], 2, 2)
    with pytest.raises(SchemaError, match="size 2 x 2 has 4"):
        indexmap.paint([(1, np.array([0, 9]))], 2, 2)
    with pytest.raises(SchemaError, match="more than 268435456"):
        indexmap.paint([], 2**15, 2**15)
    assert indexmap.paint([], 2, 3).pixels.tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32, np.int64])
def test_split_gives_each_value_its_runs(dtype):
    random = np.random.default_rng(19)
    for _ in range(200):
        height, width = random.integers(1, 25, 2)
        values = random.permutation(200)[: random.integers(1, 8)]
        pixels = values[random.integers(0, len(values), (height, width))].astype(dtype)
        for layout in (pixels, np.asfortranarray(pixels)):
            found = indexmap.split(layout, skip=())
            assert list(found) == sorted(set(pixels.ravel().tolist()))
            for value, runs in found.items():
                assert (
                    masks.encode_counts(runs)
                    == encoded((pixels == value).astype(np.uint8))["counts"].decode()
                )
        assert set(indexmap.split(pixels)) == set(found) - {0}


def test_split_of_nothing():
    assert indexmap.split(np.zeros((0, 4), np.uint8)) == {}


# --- real files ---


def _rles(value):
    if isinstance(value, dict):
        if "counts" in value and "size" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            if isinstance(child, dict | list):
                yield from _rles(child)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no sample files in {SAMPLES}")
def test_every_rle_of_the_samples():
    seen = 0
    for path in sorted(SAMPLES.rglob("*.json")):
        try:
            document = json.loads(path.read_text("utf-8"))
        except ValueError:
            continue  # broken on purpose
        for rle in _rles(document):
            height, width = rle["size"]
            runs = masks.read_counts(rle["counts"], height, width)
            given = oracle.frPyObjects(rle, height, width) if isinstance(rle["counts"], list) else rle
            assert (masks.to_array(runs, height, width) == oracle.decode(given)).all()
            text = masks.encode_counts(runs)
            if isinstance(rle["counts"], str):
                assert text == rle["counts"]
            else:
                assert text == given["counts"].decode()
                assert runs.tolist() == rle["counts"]
            assert masks.area(runs) == oracle.area(given)
            assert masks.box(runs, height) == tuple(oracle.toBbox(given))
            seen += 1
    assert seen > 1000

"""Masks to polygons and back, drawn by pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as oracle

from nucleus_convert.converters import contours, geometry, masks, raster

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
STABLE = settings(deadline=None, derandomize=True, database=None, max_examples=300)


def traced(rows):
    mask = np.array([[c != "." for c in row] for row in rows], np.uint8)
    return contours.trace(masks.from_array(mask), mask.shape[0])


def drawn(ring, shape):
    return oracle.decode(oracle.frPyObjects([list(ring)], *shape)[0])


def exclusive_or(parts, shape):
    result = np.zeros(shape, np.uint8)
    for part in parts:
        for ring in part:
            result ^= drawn(ring, shape)
    return result


def components(mask):
    """Number of 4-connected groups of set pixels, by flooding."""
    left = set(zip(*np.nonzero(mask), strict=True))
    count = 0
    while left:
        count += 1
        stack = [left.pop()]
        while stack:
            y, x = stack.pop()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in left:
                    left.remove(near)
                    stack.append(near)
    return count


def holes(mask):
    """Number of 8-connected groups of unset pixels that do not reach the border, by flooding."""
    padded = np.pad(mask, 1)
    left = set(zip(*np.nonzero(padded == 0), strict=True))
    count = -1  # the outside
    while left:
        count += 1
        stack = [left.pop()]
        while stack:
            y, x = stack.pop()
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    stack.append(near)
    return count


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (["..", ".."], ()),
        (["#"], (((0, 0, 1, 0, 1, 1, 0, 1),),)),
        (["....", ".##.", ".##."], (((1, 1, 3, 1, 3, 3, 1, 3),),)),
        (["##.", "#.."], (((0, 0, 2, 0, 2, 1, 1, 1, 1, 2, 0, 2),),)),
        (["###", "#.#", "###"], (((0, 0, 3, 0, 3, 3, 0, 3), (2, 1, 1, 1, 1, 2, 2, 2)),)),
        (["#.", ".#"], (((0, 0, 1, 0, 1, 1, 0, 1),), ((1, 1, 2, 1, 2, 2, 1, 2),))),
        ([".#", "#."], (((1, 0, 2, 0, 2, 1, 1, 1),), ((0, 1, 1, 1, 1, 2, 0, 2),))),
        # an opening through a corner makes no hole: the outline passes the corner (2, 2) twice
        (
            ["###", "#.#", "##."],
            (((0, 0, 3, 0, 3, 2, 2, 2, 2, 1, 1, 1, 1, 2, 2, 2, 2, 3, 0, 3),),),
        ),
    ],
)
def test_small_shapes(rows, parts):
    assert traced(rows) == parts


def test_islands_in_holes_are_parts_of_their_own():
    parts = traced(["#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"])
    assert [len(part) for part in parts] == [2, 2]
    assert [geometry.envelope(part[0]) for part in parts] == [(0, 0, 7, 7), (2, 2, 3, 3)]
    assert [geometry.envelope(part[1]) for part in parts] == [(1, 1, 5, 5), (3, 3, 1, 1)]
    assert contours.has_holes(parts)
    assert not contours.has_holes(traced(["#.#", "#.#"]))
    assert not contours.has_holes(())


def test_masks_of_columns_joined_in_one_run():
    mask = np.ones((4, 6), np.uint8)
    assert contours.trace(masks.from_array(mask), 4) == (((0, 0, 6, 0, 6, 4, 0, 4),),)
    assert contours.trace(np.array([5, 0, 0, 0, 0, 3, 2, 14]), 4) == contours.trace(
        np.array([5, 3, 2, 14]), 4
    )


def test_ten_thousand_masks_are_drawn_again_identical(ten_thousand_masks):
    with_holes = 0
    for mask in ten_thousand_masks:
        height, width = mask.shape
        runs = masks.from_array(mask)
        parts = contours.trace(runs, height)
        text = masks.encode_counts(runs)
        if not mask.any():
            assert parts == ()
            continue
        with_holes += contours.has_holes(parts)
        assert raster.from_parts(parts, height, width) == text
        # COCO's form, by pycocotools alone
        keyholes = [list(contours.keyhole(part)) for part in parts]
        united = oracle.merge(oracle.frPyObjects(keyholes, height, width))
        assert united["counts"].decode() == text
        assert sum(geometry.part_area(part) for part in parts) == mask.sum()
    assert with_holes > 1000


def test_rings_are_as_promised(ten_thousand_masks):
    for mask in ten_thousand_masks[::20]:
        parts = contours.trace(masks.from_array(mask), mask.shape[0])
        assert (exclusive_or(parts, mask.shape) == mask).all()
        assert len(parts) == components(mask)
        assert sum(len(part) - 1 for part in parts) == holes(mask)
        order = [(part[0][1], part[0][0]) for part in parts]
        assert order == sorted(order)
        for outline, *inner in parts:
            assert geometry.signed_area(outline) > 0
            assert all(geometry.signed_area(ring) < 0 for ring in inner)
            for ring in (outline, *inner):
                assert (ring[1], ring[0]) == min(zip(ring[1::2], ring[0::2], strict=True)) or ring in inner
                assert all(type(value) is int for value in ring)
                assert not geometry.crosses_itself(ring)
                steps = np.diff(np.reshape([*ring, *ring[:4]], (-1, 2)), axis=0)
                assert ((steps != 0).sum(axis=1) == 1).all()  # along one axis
                assert ((steps[1:, 0] != 0) != (steps[:-1, 0] != 0)).all()  # turning at every corner


@STABLE
@given(
    arrays.arrays(
        np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1)
    )
)
def test_any_mask_is_drawn_again_identical(mask):
    height, width = mask.shape
    runs = masks.from_array(mask)
    parts = contours.trace(runs, height)
    assert (exclusive_or(parts, mask.shape) == mask).all()
    if parts:
        keyholes = [contours.keyhole(part) for part in parts]
        assert raster.from_polygons(keyholes, height, width) == masks.encode_counts(runs)


def test_keyholes_of_any_coordinates():
    random = np.random.default_rng(23)
    for _ in range(200):
        part = [random.uniform(-5, 35, 2 * n).tolist() for n in random.integers(3, 9, random.integers(1, 6))]
        expected = exclusive_or([part], (30, 30))
        assert (drawn(contours.keyhole(part), (30, 30)) == expected).all()
        assert (drawn(raster.joined(part), (30, 30)) == expected).all()


def test_keyhole_takes_the_short_way():
    part = ((0, 0, 9, 0, 9, 9, 0, 9), (8, 7, 7, 7, 7, 8, 8, 8))
    assert contours.keyhole(part) == (0, 0, 9, 0, 9, 9, 8, 7, 7, 7, 7, 8, 8, 8, 8, 7, 9, 9, 0, 9)
    assert contours.keyhole(part[:1]) == part[0]


def test_parts_of_very_many_holes_are_still_exact(monkeypatch):
    monkeypatch.setattr(contours, "_NEAREST_COST", 0)
    mask = np.ones((41, 43), np.uint8)
    mask[1::2, 1::2] = 0
    runs = masks.from_array(mask)
    (part,) = contours.trace(runs, 41)
    assert len(part) == 1 + 20 * 21
    assert raster.from_polygons([contours.keyhole(part)], 41, 43) == masks.encode_counts(runs)


# --- simplification ---


def disc(radius, size):
    rows, columns = np.indices((size, size)) + 0.5
    return (np.hypot(rows - size / 2, columns - size / 2) <= radius).astype(np.uint8)


def test_simplification_says_what_it_changed():
    mask = disc(40, 100) - disc(15, 100)
    runs = masks.from_array(mask)
    exact = contours.simplify(runs, 100, 100, 0)
    assert exact == (contours.trace(runs, 100), 1.0)
    before = 2.0
    for tolerance in (0.8, 2.0, 8.0):
        parts, iou = contours.simplify(runs, 100, 100, tolerance)
        assert [len(part) for part in parts] == [2]
        result = exclusive_or(parts, mask.shape)
        assert iou == pytest.approx((result & mask).sum() / (result | mask).sum())
        assert 0.5 < iou < before
        assert sum(map(len, parts[0])) < sum(map(len, exact.parts[0])) / 2
        before = iou


def test_simplification_of_nothing_and_of_little():
    assert contours.simplify(np.array([100]), 10, 10, 2.0) == ((), 1.0)
    runs = np.array([11, 1, 88])
    assert contours.simplify(runs, 10, 10, 50.0) == (contours.trace(runs, 10), 1.0)  # would collapse


@STABLE
@given(st.lists(st.integers(-50, 50), min_size=6, max_size=60), st.floats(0.1, 20))
def test_simplified_rings_stay_within_the_tolerance(values, tolerance):
    ring = tuple(values[: len(values) // 2 * 2])
    kept = contours.simplify_ring(ring, tolerance)
    corners = np.reshape(kept, (-1, 2)).astype(float)
    following = np.roll(corners, -1, axis=0)
    along = following - corners
    length = np.maximum((along**2).sum(axis=1), 1e-300)
    for point in np.reshape(ring, (-1, 2)).astype(float):
        t = np.clip(((point - corners) * along).sum(axis=1) / length, 0, 1)
        nearest = np.hypot(*(corners + t[:, np.newaxis] * along - point).T).min()
        assert nearest <= tolerance + 1e-9
    assert len(kept) >= 6
    rest = iter(zip(ring[0::2], ring[1::2], strict=True))
    assert all(point in rest for point in zip(kept[0::2], kept[1::2], strict=True))  # in order, none invented

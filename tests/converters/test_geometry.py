"""Plane geometry, held against numpy, complex rotation and shapes known by heart."""

import cmath
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_convert.converters import geometry as g

STABLE = settings(deadline=None, derandomize=True, database=None, max_examples=300)
coordinate = st.floats(-1e4, 1e4).map(lambda v: round(v, 3))
extent = st.floats(0.01, 1e4).map(lambda v: round(v, 3))
angle = st.floats(-720, 720)
points = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=20).map(
    lambda pairs: [v for pair in pairs for v in pair]
)

SQUARE = (1, 1, 4, 1, 4, 4, 1, 4)  # clockwise on screen


@pytest.mark.parametrize(
    ("ring", "area"),
    [
        (SQUARE, 9),
        ((1, 1, 7, 1, 1, 7), 18),
        ((5, 1, 9, 5, 5, 9, 1, 5), 32),
        ((1, 1, 9, 9, 9, 1, 1, 9), 0),  # a bow-tie's halves cancel
        ((1, 1, 5, 5), 0),
        ((), 0),
    ],
)
def test_area(ring, area):
    assert g.area(ring) == area
    assert g.area([*ring, *ring[:2]]) == area


def test_area_is_signed_by_direction():
    assert g.signed_area(SQUARE) == 9
    assert g.signed_area((1, 1, 1, 4, 4, 4, 4, 1)) == -9


def test_area_far_from_the_origin_keeps_its_digits():
    far = [v + 2.0**40 for v in SQUARE]
    assert g.area(far) == 9


def test_part_area_is_without_holes():
    assert g.part_area([(0, 0, 9, 0, 9, 9, 0, 9), SQUARE, (5, 5, 5, 6, 6, 6, 6, 5)]) == 81 - 9 - 1


@STABLE
@given(points)
def test_area_and_envelope_are_those_of_numpy(ring):
    xs, ys = np.array(ring[0::2]), np.array(ring[1::2])
    expected = (xs @ np.roll(ys, -1) - ys @ np.roll(xs, -1)) / 2
    assert g.signed_area(ring) == pytest.approx(expected, abs=1e-5)
    x, y, width, height = g.envelope(ring)
    assert (x, y) == (xs.min(), ys.min())
    assert (width, height) == (np.ptp(xs), np.ptp(ys))


def test_envelope_keeps_whole_numbers_and_needs_points():
    box = g.envelope((3, 9, 1, 4))
    assert box == (1, 4, 2, 5)
    assert all(type(v) is int for v in box)
    with pytest.raises(ValueError, match="empty"):
        g.envelope(())


def test_closed_and_opened():
    assert not g.is_closed(SQUARE)
    assert g.opened(SQUARE) == SQUARE
    assert g.is_closed([*SQUARE, 1, 1])
    assert g.opened([*SQUARE, 1, 1]) == SQUARE
    assert not g.is_closed((1, 1))
    assert g.is_closed((1, 1, 1, 1))
    assert not g.is_closed((1, 1, 5, 1))
    assert not g.is_closed((1, 1, 1, 5))


@pytest.mark.parametrize(
    ("ring", "crosses"),
    [
        (SQUARE, False),
        ((1, 1, 9, 9, 9, 1, 1, 9), True),
        ((0, 0, 10, 0, 10, 10, 5, -5, 0, 10), True),  # a tooth through the opposite side
        ((0, 0, 10, 0, 10, 10, 5, 0, 0, 10), False),  # a tooth that touches it
        ((1, 1, 9, 1, 9, 9, 1, 9, 1, 1, 3, 3, 3, 7, 7, 7, 7, 3, 3, 3), False),  # a keyhole
        ((0, 0, 2, 0, 2, 1, 1, 1, 1, 2, 0, 2), False),
        ((0, 0, 5, 5), False),
        ((), False),
    ],
)
def test_crossing(ring, crosses):
    assert g.crosses_itself(ring) is crosses
    assert g.crosses_itself([v for pair in zip(ring[1::2], ring[0::2], strict=True) for v in pair]) is crosses
    assert g.crosses_itself([*ring[2:], *ring[:2]]) is crosses


@STABLE
@given(points)
def test_crossing_is_that_of_every_pair_of_edges(ring):
    corners = [complex(x, y) for x, y in zip(ring[0::2], ring[1::2], strict=True)]
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))

    def side(a, b, p):
        return np.sign((b - a).real * (p - a).imag - (b - a).imag * (p - a).real)

    expected = any(
        side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
        for a, b in edges
        for c, d in edges
    )
    assert g.crosses_itself(ring) == expected


def test_displacement():
    assert g.max_displacement((0, 0, 5, 5), (0, 0, 8, 9)) == 5
    assert g.max_displacement((0, 0, 5, 5), (-1, 0, 5, 5)) == 1
    assert g.max_displacement((), ()) == 0
    with pytest.raises(ValueError, match="2 points cannot be compared with 1"):
        g.max_displacement((0, 0, 1, 1), (0, 0))


# --- boxes ---


@STABLE
@given(coordinate, coordinate, extent, extent, angle)
def test_turned_box(x, y, width, height, rotation):
    centre = complex(x + width / 2, y + height / 2)
    turn = cmath.exp(1j * math.radians(rotation))  # with y down, this turns clockwise on screen
    expected = [
        centre + turn * (complex(a, b) - centre)
        for a, b in [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    ]
    ring = g.box_ring(x, y, width, height, rotation)
    assert ring == pytest.approx([v for p in expected for v in (p.real, p.imag)], abs=1e-6)
    assert g.area(ring) == pytest.approx(width * height, rel=1e-6, abs=1e-4)
    assert g.box_envelope(x, y, width, height, rotation) == pytest.approx(g.envelope(ring), abs=1e-6)


def test_quarter_turns_are_exact():
    assert g.box_ring(2, 3, 4, 6) == (2, 3, 6, 3, 6, 9, 2, 9)
    assert all(type(v) is int for v in g.box_ring(2, 3, 4, 6, 720))
    assert g.box_ring(2, 3, 4, 6, 90) == (7, 4, 7, 8, 1, 8, 1, 4)
    assert g.box_ring(2, 3, 4, 6, 180) == (6, 9, 2, 9, 2, 3, 6, 3)
    assert g.box_ring(2, 3, 4, 6, -90) == g.box_ring(2, 3, 4, 6, 270) == (1, 8, 1, 4, 7, 4, 7, 8)
    assert g.box_envelope(2, 3, 4, 6, 90) == (1, 4, 6, 4)
    assert g.box_envelope(2, 3, 4, 6, 180) == (2, 3, 4, 6)
    assert all(type(v) is int for v in g.box_envelope(2, 3, 4, 6))


def test_box_iou():
    assert g.box_iou((0, 0, 4, 4), (0, 0, 4, 4)) == 1
    assert g.box_iou((0, 0, 4, 4), (2, 0, 4, 4)) == pytest.approx(8 / 24)
    assert g.box_iou((0, 0, 4, 4), (4, 0, 4, 4)) == 0
    assert g.box_iou((0, 0, 4, 4), (9, 9, 4, 4)) == 0
    assert g.box_iou((1, 1, 2, 2), (0, 0, 4, 4)) == pytest.approx(1 / 4)
    assert g.box_iou((1, 1, 0, 2), (1, 1, 0, 2)) == 1
    assert g.box_iou((1, 1, 0, 2), (1, 1, 0, 3)) == 0


def test_box_likeness():
    assert g.box_likeness([[SQUARE]]) == 1
    assert g.box_likeness([[(1, 1, 7, 1, 1, 7)]]) == 0.5
    assert g.box_likeness([[(0, 0, 10, 0, 10, 10, 0, 10), (0, 0, 0, 5, 10, 5, 10, 0)]]) == 0.5
    assert g.box_likeness([[(0, 0, 1, 0, 1, 1, 0, 1)], [(3, 0, 4, 0, 4, 1, 3, 1)]]) == 0.5
    assert g.box_likeness([[(3, 3, 3, 3, 3, 3)]]) == 1


def test_keypoints_box():
    assert g.keypoints_box((3, 4, 2, 0, 0, 0, 9, 5, 1)) == (3, 4, 6, 1)
    assert g.keypoints_box((0, 0, 0, 0, 0, 0)) is None
    assert g.keypoints_box(()) is None


# --- ellipses ---


@STABLE
@given(coordinate, coordinate, extent, extent, angle, st.sampled_from([0.01, 0.1, 0.5, 3]))
def test_ellipse_polygon_stays_within_its_bound(cx, cy, rx, ry, rotation, max_error):
    ring, error = g.ellipse_ring(cx, cy, rx, ry, rotation, max_error=max_error)
    assert error <= max_error
    assert len(ring) % 8 == 0  # corners in fours
    turn = cmath.exp(-1j * math.radians(rotation))
    corners = [(complex(x, y) - complex(cx, cy)) * turn for x, y in zip(ring[0::2], ring[1::2], strict=True)]
    for corner in corners:
        assert math.hypot(corner.real / rx, corner.imag / ry) == pytest.approx(1, abs=1e-6)
    # The curve's points halfway in parameter are the furthest from the polygon, right beside their edge.
    count = len(corners)
    for i in range(0, count, max(1, count // 64)):
        t = 2 * math.pi * (i + 0.5) / count
        curve = complex(rx * math.cos(t), ry * math.sin(t))
        a, b = corners[i], corners[(i + 1) % count]
        along = (b - a) / abs(b - a)
        assert abs(((curve - a) * along.conjugate()).imag) <= error + 1e-6


@STABLE
@given(st.one_of(coordinate, st.integers(-9, 9)), coordinate, st.one_of(extent, st.integers(0, 9)), extent)
def test_an_upright_ellipse_has_the_corners_of_one_turned_all_the_way(
    cx: float, cy: float, rx: float, ry: float
) -> None:
    assert repr(g.ellipse_ring(cx, cy, rx, ry)) == repr(g.ellipse_ring(cx, cy, rx, ry, 360))



def test_ellipse_polygon_has_the_ends_of_the_axes():
    ring, error = g.ellipse_ring(10, 20, 5, 3)
    assert {(15, 20), (5, 20), (10, 23), (10, 17)} <= set(zip(ring[0::2], ring[1::2], strict=True))
    assert g.envelope(ring) == g.ellipse_envelope(10, 20, 5, 3) == (5, 17, 10, 6)
    assert 0 < error <= 0.1
    assert g.signed_area(ring) > 0
    assert g.signed_area(ring) == pytest.approx(math.pi * 15, rel=0.03)


@STABLE
@given(coordinate, coordinate, extent, extent, angle)
def test_ellipse_envelope(cx, cy, rx, ry, rotation):
    ring, error = g.ellipse_ring(cx, cy, rx, ry, rotation, max_error=0.01)
    x, y, width, height = g.ellipse_envelope(cx, cy, rx, ry, rotation)
    px, py, pw, ph = g.envelope(ring)
    slack = 2 * error + 1e-6
    assert 0 <= px - x + 1e-6 <= slack + 1e-6
    assert 0 <= py - y + 1e-6 <= slack + 1e-6
    assert 0 <= width - pw + 1e-6 <= 2 * slack
    assert 0 <= height - ph + 1e-6 <= 2 * slack


def test_ellipse_extremes():
    assert len(g.ellipse_ring(0, 0, 1e30, 1, max_error=0.1).ring) == 2 * 4096
    assert g.ellipse_ring(0, 0, 1e30, 1, max_error=0.1).error > 0.1  # and says so
    assert len(g.ellipse_ring(0, 0, 5, 5, max_error=0).ring) == 2 * 4096
    assert len(g.ellipse_ring(0, 0, 1, 1, max_error=100).ring) == 16
    assert set(g.ellipse_ring(3, 4, 0, 0).ring) == {3, 4}
    assert g.ellipse_ring(3, 4, 0, 0).error == 0

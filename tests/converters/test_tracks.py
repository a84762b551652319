"""Tracks against what CVAT's own server computed (the fact sheet's verified vectors), and back to keyframes."""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_convert.converters import blending
from nucleus_convert.converters.model import (
    Box,
    Cuboid2D,
    Ellipse,
    Keypoints,
    Line,
    Mask,
    Points,
    Polygon,
)
from nucleus_convert.converters.tracks import Joint, Key, dense, keyframes, skeletons

STABLE = settings(deadline=None, derandomize=True, database=None, max_examples=200)


def edges(left, top, right, bottom, rotation=0):
    return Box(left, top, right - left, bottom - top, rotation)


def ring(*points):
    return Polygon(((tuple(value for point in points for value in point),),))


def shapes(keys, stop):
    return {key.frame: key.shape for key in dense(keys, range(stop))}


# --- the sheet's vectors (6.2), computed by CVAT's server ----------------------------------------------

SQUARE = ring((0, 0), (10, 0), (10, 10), (0, 10))
VECTORS = {
    "box": (
        [Key(0, edges(10, 20, 30, 40)), Key(4, edges(18, 20, 46, 60))],
        {
            1: edges(12, 20, 34, 45),
            2: edges(14, 20, 38, 50),
            3: edges(16, 20, 42, 55),
            4: edges(18, 20, 46, 60),
            5: edges(18, 20, 46, 60),
        },
    ),
    "one point": (
        [Key(0, Points((0, 0))), Key(4, Points((8, 4)))],
        {1: Points((2, 1)), 2: Points((4, 2)), 3: Points((6, 3)), 4: Points((8, 4))},
    ),
    "two points": (
        [Key(0, Points((0, 0, 2, 2))), Key(4, Points((8, 4, 9, 9)))],
        {
            1: Points((0, 0, 2, 2)),
            2: Points((0, 0, 2, 2)),
            3: Points((0, 0, 2, 2)),
            4: Points((8, 4, 9, 9)),
        },
    ),
    "polyline": (
        [Key(0, Line((0, 0, 10, 0))), Key(2, Line((0, 4, 5, 6, 10, 4)))],
        {1: Line((0, 2, 2.5, 3, 10, 2))},
    ),
    "polyline, reverse": (
        [Key(0, Line((0, 4, 5, 6, 10, 4))), Key(2, Line((0, 0, 10, 0)))],
        {1: Line((0, 2, 2.5, 3, 10, 2))},
    ),
    "polygon": (
        [Key(0, SQUARE), Key(2, ring((0, 0), (10, 0), (5, 10)))],
        {1: ring((0, 0), (10, 0), (7.5, 10), (2.5, 10))},
    ),
    "polygon, reverse": (
        [Key(0, ring((0, 0), (10, 0), (5, 10))), Key(2, SQUARE)],
        {1: ring((0, 0), (10, 0), (7.5, 10), (2.5, 10))},
    ),
    "polygon begun elsewhere folds up": (
        [Key(0, SQUARE), Key(2, ring((10, 0), (10, 10), (0, 10), (0, 0)))],
        {1: ring((5, 0), (10, 5), (5, 10), (0, 5))},
    ),
    "ellipse": (  # inner points (10, 10, 15, 5) and (20, 20, 30, 12)
        [Key(0, Ellipse(10, 10, 5, 5)), Key(2, Ellipse(20, 20, 10, 8))],
        {1: Ellipse(15, 15, 7.5, 6.5)},
    ),
}


@pytest.mark.parametrize("digits", [None, 2])
@pytest.mark.parametrize("name", VECTORS)
def test_shapes_between_keyframes_are_those_of_cvat(name, digits):
    keys, expected = VECTORS[name]
    found = {key.frame: key.shape for key in dense(keys, range(max(expected) + 1), digits)}
    assert found == {0: keys[0].shape, **expected}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (350, 10, [355, 0, 5]),
        (10, 350, [5, 0, 355]),
        (0, 90, [22.5, 45, 67.5]),
        (0, 180, [45, 90, 135]),  # the sheet's rule for the tie: clockwise, as CVAT's interface does
        (180, 0, [225, 270, 315]),
        (90, 90, [90, 90, 90]),
    ],
)
@pytest.mark.parametrize("shape", [Box(1, 2, 3, 4), Ellipse(1, 2, 3, 4)])
def test_rotation_takes_the_shortest_arc(shape, before, after, expected):
    fields = [getattr(shape, name) for name in shape.__struct_fields__[:4]]
    keys = [Key(0, type(shape)(*fields, before)), Key(4, type(shape)(*fields, after))]
    assert [key.shape.rotation for key in dense(keys, range(1, 4))] == expected


def test_outside_ends_a_track_and_its_shape_is_where_it_was_heading():
    keys = [
        Key(0, edges(0, 0, 10, 10)),
        Key(3, edges(9, 0, 19, 10), outside=True),
        Key(6, edges(30, 0, 40, 10)),
    ]
    assert shapes(keys, 9) == {
        0: edges(0, 0, 10, 10),
        1: edges(3, 0, 13, 10),
        2: edges(6, 0, 16, 10),
        6: edges(30, 0, 40, 10),
        7: edges(30, 0, 40, 10),
        8: edges(30, 0, 40, 10),
    }


# --- frames --------------------------------------------------------------------------------------------


def test_late_start_single_keyframe_and_stop():
    assert shapes([Key(3, Box(1, 2, 3, 4))], 6) == dict.fromkeys((3, 4, 5), Box(1, 2, 3, 4))
    assert shapes([Key(7, Box(1, 2, 3, 4))], 6) == {}
    assert shapes([], 6) == {}
    assert shapes([Key(2, Box(1, 2, 3, 4), outside=True)], 6) == {}


def test_outside_to_the_end_and_twice_in_a_row():
    box = Box(0, 0, 1, 1)
    keys = [Key(0, box), Key(1, box, True), Key(3, box, True), Key(5, box), Key(6, box, True)]
    assert list(shapes(keys, 100)) == [0, 5]


def test_a_file_that_lists_every_frame_is_taken_as_it_is():
    listed = [Key(frame, Box(frame**2, 0, 1, 1)) for frame in range(6)]
    assert list(dense(listed, range(6))) == listed


def test_frames_missing_from_a_dense_file_are_filled_in():
    listed = [Key(0, Box(0, 0, 1, 1)), Key(1, Box(1, 0, 1, 1)), Key(4, Box(7, 0, 1, 1))]
    assert [key.shape.x for key in dense(listed, range(5))] == [0, 1, 3, 5, 7]


def test_what_does_not_move_is_that_of_the_earlier_keyframe():
    keys = [Key(0, Box(0, 0, 1, 1), state={"occluded": True}), Key(2, Box(2, 0, 1, 1), state={})]
    assert [key.state for key in dense(keys, range(4))] == [{"occluded": True}] * 2 + [{}] * 2


@pytest.mark.parametrize("frames", [range(0, 20), range(5, 9), range(3, 20, 5), range(11, 12), range(4, 4)])
def test_any_window_is_part_of_the_whole(frames):
    keys = [Key(2, Box(0, 0, 1, 1)), Key(7, Box(9, 3, 2, 2)), Key(9, Box(0, 0, 1, 1), True), Key(12, Box(5, 5, 5, 5))]
    whole = {key.frame: key for key in dense(keys, range(20))}
    assert list(dense(keys, frames)) == [whole[frame] for frame in frames if frame in whole]


def test_shapes_of_two_kinds_masks_and_holes_are_held():
    mask = Mask("U2192002N3", 12, 10)
    holed = Polygon((((0, 0, 9, 0, 9, 9), (1, 1, 2, 1, 2, 2)),))
    other = Polygon((((5, 5, 9, 5, 9, 9), (6, 6, 7, 6, 7, 7)),))
    for before, after in [
        (mask, Mask("04", 2, 2)),
        (Box(0, 0, 1, 1), SQUARE),
        (holed, other),
        (Points((1, 1)), Points((2, 2, 3, 3))),
        (Keypoints((1, 1, 2)), Keypoints((1, 1, 2, 3, 3, 2))),
    ]:
        assert shapes([Key(0, before), Key(2, after)], 3) == {0: before, 1: before, 2: after}


def test_cuboids_move_by_all_their_numbers():
    keys = [Key(0, Cuboid2D(tuple(range(16)))), Key(2, Cuboid2D(tuple(range(16, 0, -1))))]
    assert shapes(keys, 2)[1].points == (8,) * 16


def test_rounding_is_that_of_cvats_own_export():
    keys = [Key(0, edges(0, 0, 0.1, 10)), Key(3, edges(1, 0, 1.3, 10))]
    found = [key.shape for key in dense(keys, range(4), digits=2)]
    # "{:.2f}" of 1/3 and 2/3, and of 0.1 + 0.4 and 0.1 + 0.8
    assert found[1] == Box(0.33, 0, 0.17, 10)
    assert found[2] == Box(0.67, 0, 0.23, 10)


# --- polygons ------------------------------------------------------------------------------------------


def _plain(before, after, share):
    """The sheet's section 6.1 once more, the long way, with numpy's argmin in place of a search."""
    import numpy as np

    def shares(curve):
        steps = np.hypot(*np.diff(curve, axis=0).T)
        sums = np.concatenate([[0], np.cumsum(steps)])
        return sums / sums[-1]

    left, right = np.array(before, float), np.array(after, float)
    here, there = shares(left), shares(right)
    matches = [[int(np.argmin(abs(there - value)))] for value in here]
    seen = {j for match in matches for j in match}
    for j, value in enumerate(there):
        if j not in seen:
            matches[int(np.argmin(abs(here - value)))].append(j)
    return [tuple(left[i] + (right[j] - left[i]) * share) for i, match in enumerate(matches) for j in sorted(match)]


whole = st.integers(0, 40)
curves = st.lists(st.tuples(whole, whole), min_size=3, max_size=9, unique=True)


@STABLE
@given(curves, curves, st.sampled_from([0.25, 0.5, 0.8]))
def test_matched_vertices_are_those_of_a_plain_search_less_the_thinned(before, after, share):
    found = blending.Matching(before, after).at(share)
    every = _plain(before, after, share)
    assert found[0] == pytest.approx(every[0]) or len(found) < len(every)
    assert len(found) <= len(every)
    if len(found) == len(every):
        assert found == [pytest.approx(point) for point in every]
    low, high = min(map(min, every)), max(map(max, every))
    assert all(low - 1e-9 <= value <= high + 1e-9 for point in found for value in point)


def test_near_duplicates_are_thinned():
    # Four left vertices all nearest to the right curve's middle: length 3 over 2 x 4 is 0.375 apart at least.
    before = [(0, 0), (49, 0), (50, 0), (51, 0), (52, 0), (100, 0)]
    after = [(0, 0), (50, 0), (100, 0)]
    found = blending.Matching(before, after).at(0.5)
    assert found == [(0, 0), (49.5, 0), (50, 0), (50.5, 0), (51, 0), (100, 0)]
    # Later they lie 0.1 apart: first and last are left, and these too close, so their mean.
    late = blending.Matching(before, after).at(0.9)
    assert late == [(0, 0), (pytest.approx(50.05), 0), (100, 0)]


def test_the_same_outline_stays_as_it_is_with_repeated_vertices_too():
    twice = ring((0, 0), (0, 0), (10, 0), (10, 10), (0, 10))
    assert shapes([Key(0, twice), Key(5, twice)], 6) == dict.fromkeys(range(6), twice)


def test_outlines_without_extent_do_not_divide_by_nothing():
    dot = ring((1, 1), (1, 1), (1, 1))
    for before, after in [(dot, SQUARE), (SQUARE, dot), (dot, ring((2, 2), (2, 2), (2, 2)))]:
        assert all(math.isfinite(v) for v in shapes([Key(0, before), Key(2, after)], 2)[1].parts[0][0])


# --- skeletons -----------------------------------------------------------------------------------------


def test_joints_have_keyframes_of_their_own():
    head = [Joint(0, 0, 0, 2), Joint(4, 8, 4, 2)]
    hand = [Joint(1, 10, 10, 1), Joint(3, 14, 10, 0)]
    foot = [Joint(2, 5, 5, 0)]
    found = dict(skeletons([head, hand, foot], range(6)))
    assert found == {
        0: (0, 0, 2, 0, 0, 0, 0, 0, 0),
        1: (2, 1, 2, 10, 10, 1, 0, 0, 0),
        2: (4, 2, 2, 12, 10, 1, 5, 5, 0),
        3: (6, 3, 2, 14, 10, 0, 5, 5, 0),
        4: (8, 4, 2, 14, 10, 0, 5, 5, 0),
        5: (8, 4, 2, 14, 10, 0, 5, 5, 0),
    }


def test_a_skeleton_is_hidden_where_all_its_joints_are():
    joints = [[Joint(0, 1, 1, 2), Joint(2, 1, 1, 0), Joint(5, 2, 2, 1)], [Joint(0, 3, 3, 2), Joint(3, 3, 3, 0)]]
    assert [frame for frame, _ in skeletons(joints, range(7))] == [0, 1, 2, 5, 6]
    assert list(skeletons(joints, range(3, 5))) == []
    assert list(skeletons([], range(3))) == []


def test_keypoints_as_one_shape_move_as_their_joints_do():
    before, after = (0, 0, 2, 9, 9, 0, 4, 4, 1), (4, 8, 1, 1, 1, 2, 8, 0, 0)
    whole = shapes([Key(0, Keypoints(before)), Key(4, Keypoints(after))], 5)
    joints = [[Joint(0, *before[i : i + 3]), Joint(4, *after[i : i + 3])] for i in range(0, len(before), 3)]
    assert {frame: shape.points for frame, shape in whole.items()} == dict(skeletons(joints, range(5)))


# --- back to keyframes ---------------------------------------------------------------------------------

number = st.integers(-5000, 90000).map(lambda value: value / 100)
size = st.integers(1, 50000).map(lambda value: value / 100)
angle = st.integers(0, 35999).map(lambda value: value / 100)
flat = st.lists(number, min_size=2, max_size=2)


def points_of(low, high):
    return st.lists(st.tuples(number, number), min_size=low, max_size=high).map(
        lambda p: tuple(v for q in p for v in q)
    )


SHAPES = {
    "box": st.builds(Box, number, number, size, size, st.one_of(st.just(0), angle)),
    "ellipse": st.builds(Ellipse, number, number, size, size, st.one_of(st.just(0), angle)),
    "polygon": points_of(3, 6).map(lambda points: Polygon(((points,),))),
    "line": points_of(2, 5).map(Line),
    "point": points_of(1, 1).map(Points),
    "points": points_of(1, 3).map(Points),
    "cuboid": points_of(8, 8).map(Cuboid2D),
    "mask": st.sampled_from(["04", "13", "22", "31"]).map(lambda counts: Mask(counts, 2, 2)),
    "keypoints": st.lists(st.tuples(number, number, st.integers(0, 2)), min_size=3, max_size=3).map(
        lambda joints: Keypoints(tuple(v for joint in joints for v in joint))
    ),
}
anything = st.sampled_from(sorted(SHAPES)).flatmap(SHAPES.__getitem__)


@st.composite
def seen(draw):
    """What is seen on some frames: a track from keyframes of one kind, or of any, or no track at all."""
    kind = SHAPES[draw(st.sampled_from(sorted(SHAPES)))] if draw(st.booleans()) else anything
    steps = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    frame, keys = draw(st.integers(0, 5)), []
    for step in steps:
        shape = keys[-1].shape if keys and draw(st.integers(0, 3)) == 0 else draw(kind)
        keys.append(Key(frame, shape, draw(st.integers(0, 4)) == 0, draw(st.integers(0, 1))))
        frame += step
    digits = draw(st.sampled_from([None, 2]))
    return list(dense(keys, range(frame + draw(st.integers(0, 5))), digits)), digits


@STABLE
@given(seen(), st.booleans())
def test_keyframes_give_the_same_frames_again(case, to_the_end):
    frames, digits = case
    count = (frames[-1].frame + 1 if to_the_end else frames[-1].frame + 9) if frames else 9
    keys = list(keyframes(frames, count, digits))
    assert [key.frame for key in keys] == sorted({key.frame for key in keys})
    assert all(key.frame < count for key in keys)
    again = list(dense(keys, range(count), digits))
    expected = [key._replace(shape=blending.rounded(key.shape, digits)) for key in frames]
    assert again == expected


@STABLE
@given(seen())
def test_keyframes_without_a_known_end_close_the_track(case):
    frames, digits = case
    keys = list(keyframes(frames, None, digits))
    expected = [key._replace(shape=blending.rounded(key.shape, digits)) for key in frames]
    assert list(dense(keys, range(200), digits)) == expected
    assert not keys or keys[-1].outside


def test_keyframes_are_found_where_they_were():
    keys = [
        Key(0, Box(0, 0, 10, 10)),
        Key(10, Box(33.37, 5, 10, 10)),
        Key(25, Box(33.37, 71.5, 20, 12.25)),
        Key(60, Box(-4.1, 80, 20, 10)),
        Key(70, Box(-4.1, 80, 20, 10), outside=True),
        Key(80, Box(50, 50, 5, 5)),
    ]
    assert list(keyframes(dense(keys, range(100), 2), 100, 2)) == keys


@pytest.mark.parametrize("kind", ["polygon", "skeleton", "mask"])
def test_other_kinds_are_found_too(kind):
    made = {
        "polygon": [SQUARE, ring((3, 1), (20, 0), (9, 30)), ring((50, 1), (60, 5), (55, 30), (45, 20))],
        "skeleton": [Keypoints((0, 0, 2, 9, 9, 1)), Keypoints((7, 3, 2, 1, 9, 1)), Keypoints((9, 9, 2, 9, 3, 1))],
        "mask": [Mask("04", 2, 2), Mask("13", 2, 2), Mask("22", 2, 2)],
    }[kind]
    keys = [Key(frame, shape) for frame, shape in zip((2, 11, 30), made, strict=True)]
    assert list(keyframes(dense(keys, range(40), 2), 40, 2)) == keys


def test_turning_on_and_on_is_more_than_one_half_turn():
    keys = [Key(frame, Box(0, 0, 9, 9, frame * 12 % 360)) for frame in (0, 14, 28, 42)]
    found = list(keyframes(dense(keys, range(43), 2), 43, 2))
    assert list(dense(found, range(43), 2)) == list(dense(keys, range(43), 2))
    assert len(found) <= 5


def test_gaps_late_start_and_a_single_frame():
    box = Box(1, 2, 3, 4)
    found = list(keyframes([Key(4, box), Key(5, box), Key(9, box)], 20))
    assert found == [Key(4, box), Key(6, box, True), Key(9, box), Key(10, box, True)]
    assert list(keyframes([Key(4, box)], 5)) == [Key(4, box)]
    assert list(keyframes([], 5)) == []


def test_state_that_changes_is_a_keyframe():
    box = Box(1, 2, 3, 4)
    frames = [Key(frame, box, state={"occluded": frame in (3, 4)}) for frame in range(8)]
    assert [key.frame for key in keyframes(frames, 8)] == [0, 3, 5]


@pytest.mark.parametrize("kind", ["still", "wild", "sawtooth"])
def test_the_time_it_takes_grows_with_the_frames_only(kind):
    def track(count):
        place = {
            "still": lambda frame: 7.0,
            "wild": lambda frame: (frame * 7919 % 1013) / 4,
            "sawtooth": lambda frame: (frame % 2) * 0.01,  # within half a digit of a line, and never on it
        }[kind]
        return [Key(frame, Box(place(frame), 0.0, 5.0, 5.0)) for frame in range(count)]

    def seconds(count):
        frames = track(count)
        begun = time.process_time()
        keys = list(keyframes(frames, None, 2))
        taken = time.process_time() - begun
        assert list(dense(keys, range(count), 2)) == frames
        return taken

    assert min(seconds(8000) for _ in range(2)) < 4 * 8 * max(seconds(1000), 0.002)

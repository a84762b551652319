"""Frames against the vectors of KITTI's fact sheet, the devkit's formulas written out, and random calibrations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nucleus_convert.converters import frames

NEAR = {"rel": 0, "abs": 1e-9}
IDEAL = [[0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27]]
R0 = np.array([
    [9.999255020e-01, -1.002775200e-02, -6.959538000e-03],
    [9.999588000e-03, 9.999417210e-01, -4.069787000e-03],
    [6.999943000e-03, 3.999891000e-03, 9.999675000e-01],
])  # fmt: skip
TR = np.array([
    [-7.999915000e-03, -9.999660000e-01, 1.999935000e-03, -4.000000000e-03],
    [-5.999772000e-03, -1.951964000e-03, -9.999800960e-01, -7.600000000e-02],
    [9.999500010e-01, -8.011755000e-03, -5.983952000e-03, -2.720000000e-01],
])  # fmt: skip
P2 = np.array([[700, 0, 600, 40], [0, 700, 180, 0.2], [0, 0, 1, 0.003]])
B_LOCATION, B_HWL, B_RY = (2.84, 1.47, 8.41), (1.52, 1.63, 3.88), 0.01


def cuboid(mounting: frames.Rig, location: Any, hwl: Any, rotation_y: float) -> tuple[list[float], list[float], float]:
    """One row's cuboid."""
    centre, lwh, yaw = frames.lidar_cuboids([location], [hwl], [rotation_y], mounting)
    return centre[0].tolist(), lwh[0].tolist(), float(yaw[0])


def tilt(mounting: frames.Rig) -> float:
    """The angle in radians between the camera's up and the lidar's."""
    up = frames.nearest_rotation(mounting.lidar_from_rect[:3, :3]) @ np.array([0, -1, 0])
    return float(np.arctan2(np.hypot(up[0], up[1]), up[2]))


# --- the sheet's vectors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rotation_y", "yaw"),
    [
        (0, -1.5707963268),
        (math.pi / 2, 3.1415926536),
        (-math.pi / 2, 0),
        (math.pi, 1.5707963268),
        (1.57, -3.1407963268),
        (3.0, 1.7123889804),
        (-3.0, 1.4292036732),
    ],
)
def test_a_ideal_calibration(rotation_y: float, yaw: float) -> None:
    mounting = frames.rig(np.eye(3), IDEAL)
    centre, lwh, found = cuboid(mounting, (2.0, 1.65, 20.0), (1.5, 1.6, 4.0), rotation_y)
    assert centre == pytest.approx([20.27, -2.0, -0.98], **NEAR)
    assert lwh == [4.0, 1.6, 1.5]
    assert found == pytest.approx(yaw, **NEAR)


@pytest.mark.parametrize(("exact", "yaw"), [(None, -1.580796326795), (True, -1.595696551290)])
def test_b_tilted_calibration(exact: bool | None, yaw: float) -> None:
    mounting = frames.rig(R0, TR, exact=exact)
    centre, lwh, found = cuboid(mounting, B_LOCATION, B_HWL, B_RY)
    assert centre == pytest.approx([8.622901508362, -2.989635377326, -0.837006170733], **NEAR)
    assert lwh == [3.88, 1.63, 1.52]
    assert found == pytest.approx(yaw, **NEAR)
    location, hwl, rotation_y = frames.camera_boxes([centre], [lwh], [found], mounting)
    assert location[0].tolist() == pytest.approx(B_LOCATION, **NEAR)
    assert hwl[0].tolist() == list(B_HWL)
    assert float(rotation_y[0]) == pytest.approx(B_RY, **NEAR)


def test_b_projecting_the_heading_back_would_lose_the_tilt() -> None:
    """The sheet's inverse of the exact heading gives 0.0098801464; ours is the true inverse, and gives 0.01."""
    mounting = frames.rig(R0, TR, exact=True)
    yaw = frames.lidar_yaw(B_RY, mounting)
    heading = mounting.rect_from_lidar[:3, :3] @ np.array([np.cos(yaw), np.sin(yaw), 0])
    assert math.atan2(-heading[2], heading[0]) == pytest.approx(0.0098801464, abs=5e-11)
    assert float(frames.rotation_y(yaw, mounting)) == pytest.approx(0.01, **NEAR)


def test_b_lifting_along_camera_y_differs_by_the_tilt() -> None:
    mounting = frames.rig(R0, TR)
    raised = np.array(B_LOCATION) - (0, 1.52 / 2, 0)
    assert frames.moved(raised, mounting.lidar_from_rect).tolist() == pytest.approx(
        [8.630614749088, -2.980577322853, -0.837099296519], **NEAR
    )


def test_c_no_calibration() -> None:
    mounting = frames.rig()
    assert not mounting.calibrated
    assert not mounting.exact
    centre, _, yaw = cuboid(mounting, (2.0, 1.65, 20.0), (1.5, 1.6, 4.0), 0.5)
    assert centre == pytest.approx([20.0, -2.0, -0.9], **NEAR)
    assert yaw == pytest.approx(-2.0707963268, **NEAR)
    assert frames.rig(R0).rect_from_lidar.tolist() == mounting.rect_from_lidar.tolist()


def test_d_a_camera_that_looks_left_is_exact_of_itself() -> None:
    left = [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0]]
    mounting = frames.rig(np.eye(3), left)
    assert mounting.exact
    assert mounting.angle == pytest.approx(math.pi / 2)
    centre, _, yaw = cuboid(mounting, (1.0, 1.65, 10.0), (1.5, 1.6, 4.0), 0)
    assert centre == pytest.approx([1.0, 10.0, -0.9], **NEAR)
    assert yaw == pytest.approx(0, **NEAR)
    assert float(frames.lidar_yaw(0, frames.rig(np.eye(3), left, exact=False))) == pytest.approx(-math.pi / 2)


def test_alpha() -> None:
    found = frames.alpha([B_LOCATION, (2, 1.65, 20)], [B_RY, 0.5])
    assert found.tolist() == pytest.approx([-0.315669308829, 0.400331347509], **NEAR)


def test_box_around_the_projection() -> None:
    corners = frames.camera_corners([B_LOCATION], [B_HWL], [B_RY])
    (found,) = frames.image_boxes(corners, P2)
    assert found.tolist() == pytest.approx([672.8827, 175.3369, 1045.7827, 315.7315], abs=5e-5)
    (clipped,) = frames.image_boxes(corners, P2, (1000, 300))
    assert clipped.tolist() == pytest.approx([672.8827, 175.3369, 999, 299], abs=5e-5)


def test_camera_pose() -> None:
    mounting = frames.rig(R0, TR)
    shift = frames.camera_shift(P2)
    assert shift.tolist() == pytest.approx([0.054571428571, -0.000485714286, 0.003], **NEAR)
    pose = frames.camera_pose(P2, mounting)
    assert pose.position == pytest.approx((0.269306999788, 0.048273254288, -0.078732490361), **NEAR)
    w, x, y, z = pose.heading
    assert (x, y, z, w) == pytest.approx((-0.501744386496, 0.503226942391, -0.504194225305, 0.490717228391), **NEAR)
    assert pose[2:] == (700, 700, 600, 180)
    point = (12, -3, 0.5)
    devkit, depth = frames.project(frames.moved(point, mounting.rect_from_lidar), P2)
    assert devkit.tolist() == pytest.approx([771.296218579589, 140.661245111415], **NEAR)
    assert float(depth) > 0
    # R0 and Tr are orthonormal to nine digits, the heading's rotation is to sixteen.
    assert frames.see(point, pose)[0].tolist() == pytest.approx(devkit.tolist(), abs=1e-6)


def test_ideal_heading() -> None:
    w, x, y, z = frames.camera_pose(P2, frames.rig(np.eye(3), IDEAL)).heading
    assert (x, y, z, w) == pytest.approx((-0.5, 0.5, -0.5, 0.5), **NEAR)
    turn = frames.rotation((w, x, y, z))
    assert turn.T.tolist() == [[0, -1, 0], [0, 0, -1], [1, 0, 0]]  # camera x, y and z in the lidar frame


def test_tracklet_rises_from_its_bottom() -> None:
    assert frames.lifted([(12, -3.5, -1.7)], [1.5]).tolist() == [pytest.approx([12, -3.5, -0.95], **NEAR)]


# --- angles --------------------------------------------------------------------------------------------


@given(st.floats(-1e4, 1e4))
def test_wrap(angle: float) -> None:
    found = float(frames.wrap(angle))
    assert -math.pi < found <= math.pi
    assert math.cos(found - angle) == pytest.approx(1)
    if -math.pi < angle <= math.pi:
        assert found == angle


def test_wrap_of_minus_pi_is_pi() -> None:
    assert frames.wrap([-math.pi, math.pi, -3 * math.pi, 3 * math.pi]).tolist() == [math.pi] * 4


# --- random calibrations -------------------------------------------------------------------------------


def turned(axis: int, angle: float) -> frames.Array:
    """Rotation about one axis."""
    first, second = [i for i in range(3) if i != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix


@st.composite
def calibrations(draw: st.DrawFn, *, most: float, tilted: bool = True) -> tuple[frames.Array, frames.Array]:
    """R0 and Tr of a camera that is turned from the nominal mounting by up to ``most`` about each axis.

    Numbers have ten digits, as in KITTI's files, so that rotations are only nearly orthonormal.
    """
    angle = st.floats(-most, most)
    turn = frames.NOMINAL @ turned(2, draw(angle))
    r0 = np.eye(3)
    if tilted:
        turn = turn @ turned(1, draw(angle)) @ turned(0, draw(angle))
        r0 = turned(0, draw(st.floats(-0.02, 0.02))) @ turned(1, draw(st.floats(-0.02, 0.02)))
    shift = draw(st.tuples(*[st.floats(-3, 3)] * 3))
    return np.round(r0, 9), np.round(np.column_stack([turn, shift]), 9)


@st.composite
def projections(draw: st.DrawFn) -> frames.Array:
    focal, ratio = draw(st.floats(300, 2000)), draw(st.floats(0.9, 1.1))
    cx, cy = draw(st.floats(200, 1500)), draw(st.floats(100, 900))
    last = draw(st.tuples(st.floats(-500, 500), st.floats(-5, 5), st.floats(-0.01, 0.01)))
    return np.column_stack([[[focal, 0, cx], [0, focal * ratio, cy], [0, 0, 1]], last])


@st.composite
def rows(draw: st.DrawFn) -> tuple[frames.Array, frames.Array, frames.Array]:
    """Locations, sizes and rotations of up to five boxes before the camera."""
    count = draw(st.integers(1, 5))
    numbers = [
        [draw(st.floats(low, high)) for low, high in
         ((-30, 30), (-3, 4), (6, 90), (0.3, 4), (0.3, 3), (0.3, 5), (-math.pi, math.pi))]
        for _ in range(count)
    ]  # fmt: skip
    table = np.array(numbers)
    return table[:, :3], table[:, 3:6], table[:, 6]


@given(calibrations(most=1.2), rows(), st.sampled_from([None, True, False]))
def test_there_and_back(
    matrices: tuple[frames.Array, frames.Array],
    boxes: tuple[frames.Array, frames.Array, frames.Array],
    exact: bool | None,
) -> None:
    mounting = frames.rig(*matrices, exact=exact)
    # Near 90 degrees of tilt, headings about one vertical say little about the other.
    assume(not mounting.exact or abs(math.cos(tilt(mounting))) > 0.05)
    location, hwl, rotation_y = frames.camera_boxes(*frames.lidar_cuboids(*boxes, mounting), mounting)
    np.testing.assert_allclose(location, boxes[0], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(hwl, boxes[1])
    np.testing.assert_allclose(np.sin((rotation_y - boxes[2]) / 2), 0, rtol=0, atol=1e-9)


@given(calibrations(most=1.2), projections(), st.tuples(*[st.floats(-40, 40)] * 3))
def test_a_camera_sees_what_the_devkit_projects(
    matrices: tuple[frames.Array, frames.Array], projection: frames.Array, point: tuple[float, float, float]
) -> None:
    """Any lidar point, any calibration: pose and intrinsics say what P * R0 * Tr says."""
    r0, tr = matrices
    padded_r0, padded_tr = np.eye(4), np.eye(4)
    padded_r0[:3, :3], padded_tr[:3] = r0, tr
    x, y, depth = projection @ padded_r0 @ padded_tr @ np.array([*point, 1.0])
    assume(depth > 1)
    pixels, seen_depth = frames.see(point, frames.camera_pose(projection, frames.rig(r0, tr)))
    # Nine digits of a rotation at 70 m and a focal length of 2000.
    assert pixels.tolist() == pytest.approx([x / depth, y / depth], rel=1e-6, abs=1e-3)
    assert float(seen_depth) == pytest.approx(depth, abs=1e-6)


@given(calibrations(most=3, tilted=False), projections(), rows())
def test_corners_of_cuboids_are_the_devkits(
    matrices: tuple[frames.Array, frames.Array],
    projection: frames.Array,
    boxes: tuple[frames.Array, frames.Array, frames.Array],
) -> None:
    """Where both stand upright a cuboid is the row's box, whichever way the camera looks: pixel for pixel."""
    mounting = frames.rig(*matrices, exact=True)
    seen, depth = frames.see(
        frames.lidar_corners(*frames.lidar_cuboids(*boxes, mounting)), frames.camera_pose(projection, mounting)
    )
    location, (height, width, length) = boxes[0], boxes[1].T
    for box in range(len(location)):
        cos, sin = math.cos(boxes[2][box]), math.sin(boxes[2][box])
        # computeBox3D.m
        local = np.array([
            np.array([1, 1, -1, -1, 1, 1, -1, -1]) * length[box] / 2,
            np.array([0, 0, 0, 0, -1, -1, -1, -1]) * height[box],
            np.array([1, -1, -1, 1, 1, -1, -1, 1]) * width[box] / 2,
        ])  # fmt: skip
        corners = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ local + location[box][:, np.newaxis]
        x, y, z = projection @ np.vstack([corners, np.ones(8)])
        np.testing.assert_allclose(depth[box], z, rtol=0, atol=1e-6)
        np.testing.assert_allclose(seen[box], np.stack([x / z, y / z], axis=1), rtol=1e-6, atol=1e-3)
        ours, _ = frames.project(frames.camera_corners(location, boxes[1], boxes[2])[box], projection)
        np.testing.assert_allclose(ours, np.stack([x / z, y / z], axis=1), rtol=1e-12, atol=1e-9)


@given(calibrations(most=0.08), rows(), st.booleans())
def test_corners_are_off_by_no_more_than_the_tilt(
    matrices: tuple[frames.Array, frames.Array],
    boxes: tuple[frames.Array, frames.Array, frames.Array],
    exact: bool,
) -> None:
    """A cuboid can only yaw: turned about the kept centre of its bottom, corners move by the mounting's angle."""
    mounting = frames.rig(*matrices, exact=exact)
    ours = frames.lidar_corners(*frames.lidar_cuboids(*boxes, mounting))
    devkit = frames.moved(frames.camera_corners(*boxes), mounting.lidar_from_rect)
    height, width, length = boxes[1].T
    reach = np.sqrt(length**2 / 4 + width**2 / 4 + height**2)
    # Exact headings leave the tilt and, to second order, a turn; the nominal ones are off by the mounting's angle.
    angle = tilt(mounting) * (1 + tilt(mounting)) if exact else mounting.angle
    assert (np.linalg.norm(ours - devkit, axis=-1).max(axis=1) <= reach * angle + 1e-6).all()


@given(calibrations(most=1.2), projections())
def test_a_pose_makes_matrices_that_give_it_again(
    matrices: tuple[frames.Array, frames.Array], projection: frames.Array
) -> None:
    pose = frames.camera_pose(projection, frames.rig(*matrices))
    again_p, again_tr = frames.camera_matrices(pose)
    again = frames.camera_pose(again_p, frames.rig(np.eye(3), again_tr))
    wanted = [*pose.position, *pose.heading, *pose[2:]]
    assert [*again.position, *again.heading, *again[2:]] == pytest.approx(wanted, rel=1e-12, abs=1e-9)


@given(st.tuples(*[st.floats(-1, 1)] * 4))
def test_quaternions(values: tuple[float, float, float, float]) -> None:
    assume(np.linalg.norm(values) > 0.01)
    found = np.array(frames.quaternion(frames.rotation(values)))
    wanted = np.array(values) / np.linalg.norm(values)
    assert found[0] >= 0
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-12)
    assert abs(float(found @ wanted)) == pytest.approx(1, abs=1e-12)
    # Hamilton's product q v q* turns a vector as the matrix does.
    w, axis, vector = found[0], found[1:], np.array([1.0, 2.0, 3.0])
    turned_vector = vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)
    np.testing.assert_allclose(frames.rotation(values) @ vector, turned_vector, atol=1e-9)


@pytest.mark.parametrize(("axis", "heading"), [(0, (0, 1, 0, 0)), (1, (0, 0, 1, 0)), (2, (0, 0, 0, 1))])
def test_half_turns_have_no_w(axis: int, heading: tuple[float, ...]) -> None:
    matrix = -np.eye(3)
    matrix[axis, axis] = 1
    assert frames.quaternion(matrix) == heading


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("r0", "tr", "message"),
    [
        (np.eye(3), np.zeros((3, 4)), "singular"),
        (np.zeros((3, 3)), TR, "singular"),
        (np.eye(3), np.full((3, 4), np.nan), "Tr_velo_to_cam has a number that is not finite"),
        (np.full((3, 3), np.inf), TR, "R0_rect has a number that is not finite"),
        (np.eye(3), np.full((3, 4), 1e300), "beyond"),
        (np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), TR, "singular"),
        (np.diag([1, 1, -1]), TR, "mirrors"),
        (np.eye(3), np.eye(3), "shape"),
        (np.eye(3), [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]], "level"),
    ],
)
def test_mountings_that_are_none(r0: Any, tr: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frames.rig(r0, tr)


@pytest.mark.parametrize(
    ("projection", "message"),
    [
        (np.zeros((3, 4)), "singular"),
        (np.full((3, 4), np.nan), "not finite"),
        (np.array([[700, 9, 600, 0], [0, 700, 180, 0], [0, 0, 1, 0]]), "skew"),
        (np.eye(3), "shape"),
    ],
)
def test_projections_that_are_none(projection: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frames.camera_pose(projection, frames.rig(R0, TR))


def test_a_heading_of_no_length() -> None:
    with pytest.raises(ValueError, match="length 0"):
        frames.rotation((0, 0, 0, 0))


def test_boxes_behind_the_camera() -> None:
    corners = frames.camera_corners([(0, 0, -20), (0, 0, 0.5)], [(1, 1, 4)] * 2, [math.pi / 2] * 2)
    behind, half = frames.image_boxes(corners, P2)
    assert np.isnan(behind).all()
    assert np.isfinite(half).all()


def test_deviation_from_orthonormality() -> None:
    assert frames.orthonormality(np.eye(3)) == 0
    assert frames.orthonormality(R0) < 1e-6
    assert frames.orthonormality(np.diag([1.01, 1, 1])) == pytest.approx(0.0201)


def test_no_boxes() -> None:
    mounting = frames.rig(R0, TR)
    none = np.empty((0, 3))
    centre, lwh, yaw = frames.lidar_cuboids(none, none, np.empty(0), mounting)
    assert (centre.shape, lwh.shape, yaw.shape) == ((0, 3), (0, 3), (0,))
    assert frames.lidar_corners(centre, lwh, yaw).shape == (0, 8, 3)
    assert frames.image_boxes(frames.camera_corners(none, none, np.empty(0)), P2).shape == (0, 4)

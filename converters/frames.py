"""Camera and lidar frames: boxes, headings, projections and camera poses in 3-D. Pure numpy, no files, no model.

Frames, all right-handed, in metres:

- **lidar**: x forward, y left, z up. Cuboids live here: centre, (length, width, height), and yaw about z, 0 along
  +x, counter-clockwise seen from above. It is the model's frame and Nucleus's.
- **rect**: the rectified camera-0 frame of KITTI, x right, y down, z forward. Label rows live here: ``location`` is
  the centre of the box's *bottom* face, dimensions are (height, width, length), and ``rotation_y`` turns about y,
  0 along +x.
- **camera i**: rect shifted by what the camera's 3x4 projection matrix holds in its last column.

Angles are radians in (-pi, pi]; pixels are as in the model. Arrays are float64; n boxes at once.

A cuboid stands upright in the lidar frame, a row's box upright in the camera's. Where one is tilted against the
other, no cuboid with a yaw alone is the same box: the bottom's centre is kept exactly, and the box rises along lidar z.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

NOMINAL: Final[Array] = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""Rotation from lidar to camera axes where the camera looks along lidar +x and stands upright."""
NOMINAL.setflags(write=False)
EXACT_FROM: Final = math.radians(5)
"""A mounting that is turned by more than this gets exact headings. (KITTI's own are turned by about 1 degree.)"""
_LEVEL: Final = 1e-9
_SINGULAR: Final = 1e-12
_LARGEST: Final = 1e9

_UNIT: Final[Array] = np.array([
    (1, 1, 0), (1, -1, 0), (-1, -1, 0), (-1, 1, 0), (1, 1, 1), (1, -1, 1), (-1, -1, 1), (-1, 1, 1)
], np.float64)  # fmt: skip
"""Corners as signs along length and width, and 0 or 1 for bottom and top: the devkit's order."""


class Rig(NamedTuple):
    """How a camera and a lidar are mounted.

    Attributes:
        rect_from_lidar: shape (4, 4), takes homogeneous lidar points to rect points.
        lidar_from_rect: its inverse, shape (4, 4).
        angle: by how much, in radians, the mounting is turned from the nominal one.
        exact: whether headings are turned by the true rotation rather than by the nominal one.
        calibrated: False where no calibration was known and the nominal mounting stands in for it.
    """

    rect_from_lidar: Array
    lidar_from_rect: Array
    angle: float
    exact: bool
    calibrated: bool


class CameraPose(NamedTuple):
    """A camera in the lidar frame: position in metres, heading quaternion (w, x, y, z), intrinsics in pixels."""

    position: tuple[float, float, float]
    heading: tuple[float, float, float, float]
    fx: float
    fy: float
    cx: float
    cy: float


# --- angles --------------------------------------------------------------------------------------------


def wrap(angle: npt.ArrayLike) -> Array:
    """Angles in radians brought to (-pi, pi] by whole turns; those that lie there are returned untouched."""
    angles = np.asarray(angle, np.float64)
    turns = np.ceil((angles - math.pi) / math.tau)
    wrapped = np.where((angles > -math.pi) & (angles <= math.pi), angles, angles - turns * math.tau)
    return np.where(wrapped <= -math.pi, math.pi, wrapped)


# --- mounting ------------------------------------------------------------------------------------------


def rig(r0: npt.ArrayLike | None = None, tr: npt.ArrayLike | None = None, *, exact: bool | None = None) -> Rig:
    """The mounting that a calibration file says.

    Args:
        r0: R0_rect, shape (3, 3), from the unrectified to the rectified camera-0 frame; None: identity.
        tr: Tr_velo_to_cam, shape (3, 4), metres, from lidar to the unrectified camera-0 frame. None: not known, the
            camera is taken to stand at the lidar's place with nominal axes (and ``r0`` says nothing).
        exact: whether headings are exact; None: where the mounting is turned by more than EXACT_FROM.

    Raises:
        ValueError: a matrix of another shape, not finite, singular or a mirror; or exact headings are wanted and the
            camera's y axis lies level in the lidar frame, so that headings about the two verticals have nothing in
            common.
    """
    if tr is None:
        forward = _padded(NOMINAL)
    else:
        forward = _padded(_matrix(tr, (3, 4), "Tr_velo_to_cam"))
        if r0 is not None:
            forward = _padded(_matrix(r0, (3, 3), "R0_rect")) @ forward
    _check_regular(forward[:3, :3], "R0_rect * Tr_velo_to_cam")
    if np.linalg.det(forward[:3, :3]) < 0:
        raise ValueError("R0_rect * Tr_velo_to_cam mirrors: one of its axes is turned the wrong way")
    back = _inverse(forward)
    angle = rotation_angle(nearest_rotation(forward[:3, :3]) @ NOMINAL.T)
    exactly = angle > EXACT_FROM if exact is None else exact
    made = Rig(forward, back, angle, exactly, tr is not None)
    if exactly and abs(np.linalg.det(_headings(made))) < _LEVEL:
        raise ValueError(
            "the camera's y axis lies level in the lidar frame, so headings cannot be turned into each other"
        )
    return made


def orthonormality(matrix: npt.ArrayLike) -> float:
    """How far a (3, 3) matrix is from having orthonormal rows: the largest entry of ``|M M^T - I|``."""
    square = np.asarray(matrix, np.float64)
    return float(np.abs(square @ square.T - np.eye(3)).max())


def rotation_angle(rotation: Array) -> float:
    """The angle in radians, 0 to pi, by which a (3, 3) rotation turns."""
    chord = float(np.linalg.norm(rotation - np.eye(3))) / math.sqrt(8)
    return 2 * math.asin(min(chord, 1.0))


def _matrix(values: npt.ArrayLike, shape: tuple[int, int], name: str) -> Array:
    matrix = np.asarray(values, np.float64)
    if matrix.shape != shape:
        raise ValueError(f"{name} has the shape {matrix.shape}, not {shape}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} has a number that is not finite")
    if np.abs(matrix).max() > _LARGEST:
        raise ValueError(f"{name} has a number beyond {_LARGEST:g}")
    return matrix


def _check_regular(square: Array, name: str) -> None:
    values = np.linalg.svd(square, compute_uv=False)
    if values[-1] <= _SINGULAR * values[0]:
        raise ValueError(f"{name} is singular")


def _inverse(square: Array) -> Array:
    inverse: Array = np.linalg.inv(square).astype(np.float64, copy=False)
    return inverse


def _padded(matrix: Array) -> Array:
    """A (3, 3) or (3, 4) matrix as the upper left of a (4, 4) identity."""
    whole = np.eye(4)
    whole[:3, : matrix.shape[1]] = matrix
    return whole


def moved(points: npt.ArrayLike, transform: Array) -> Array:
    """Points, shape (..., 3), in the frame that a (4, 4) rigid or affine transform leads to."""
    moving = np.asarray(points, np.float64)
    return moving @ transform[:3, :3].T + transform[:3, 3]


# --- boxes ---------------------------------------------------------------------------------------------


def lidar_cuboids(
    location: npt.ArrayLike, hwl: npt.ArrayLike, rotation_y: npt.ArrayLike, mounting: Rig
) -> tuple[Array, Array, Array]:
    """Boxes of label rows as lidar cuboids.

    Args:
        location: shape (n, 3), centres of the bottom faces in the rect frame, metres.
        hwl: shape (n, 3), height, width, length, metres.
        rotation_y: shape (n,), radians about rect y.
        mounting: of the camera and the lidar.

    Returns:
        Centres (n, 3) in the lidar frame, length-width-height (n, 3), both in metres, yaws (n,) in radians.
    """
    sizes = np.asarray(hwl, np.float64)
    centre = lifted(moved(location, mounting.lidar_from_rect), sizes[..., 0])
    return centre, sizes[..., ::-1].copy(), lidar_yaw(rotation_y, mounting)


def camera_boxes(
    centre: npt.ArrayLike, lwh: npt.ArrayLike, yaw: npt.ArrayLike, mounting: Rig
) -> tuple[Array, Array, Array]:
    """Lidar cuboids as boxes of label rows: the inverse of :func:`lidar_cuboids`.

    Args:
        centre: shape (n, 3), in the lidar frame, metres.
        lwh: shape (n, 3), length, width, height, metres.
        yaw: shape (n,), radians about lidar z.
        mounting: of the camera and the lidar.

    Returns:
        Locations (n, 3), centres of the bottom faces in the rect frame; height-width-length (n, 3), both in metres;
        rotations about rect y (n,), radians.
    """
    sizes = np.asarray(lwh, np.float64)
    bottom = lifted(centre, -sizes[..., 2])
    return moved(bottom, mounting.rect_from_lidar), sizes[..., ::-1].copy(), rotation_y(yaw, mounting)


def lifted(points: npt.ArrayLike, height: npt.ArrayLike) -> Array:
    """Points (..., 3) raised by half of ``height`` (...) along z, metres: from a bottom's centre to the box's."""
    raised = np.array(points, np.float64)
    raised[..., 2] += np.asarray(height, np.float64) / 2
    return raised


def lidar_yaw(rotation: npt.ArrayLike, mounting: Rig) -> Array:
    """Yaw about lidar z, radians in (-pi, pi], of headings that are turned by ``rotation`` about rect y.

    Exact, it is the direction of the heading's projection to the lidar's xy plane.
    """
    angles = np.asarray(rotation, np.float64)
    if not mounting.exact:
        return wrap(-angles - math.pi / 2)
    return _turned(angles, _headings(mounting))


def rotation_y(yaw: npt.ArrayLike, mounting: Rig) -> Array:
    """Rotation about rect y, radians in (-pi, pi], whose :func:`lidar_yaw` is ``yaw``.

    Exact, it is the angle that gives just this yaw again, also where camera and lidar are tilted: projecting the
    lidar heading to the camera's xz plane would lose the tilt twice.
    """
    angles = np.asarray(yaw, np.float64)
    if not mounting.exact:
        return wrap(-angles - math.pi / 2)
    return _turned(angles, _inverse(_headings(mounting)))


def _headings(mounting: Rig) -> Array:
    """The (2, 2) matrix that takes (cos, sin) of rotation_y to the heading's x and y in the lidar frame."""
    rotation = mounting.lidar_from_rect[:2, :3]
    return np.stack([rotation[:, 0], -rotation[:, 2]], axis=1)


def _turned(angles: Array, matrix: Array) -> Array:
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1) @ matrix.T
    return wrap(np.arctan2(directions[..., 1], directions[..., 0]))


def alpha(location: npt.ArrayLike, rotation: npt.ArrayLike) -> Array:
    """Observation angle, radians in (-pi, pi]: the heading as seen along the ray from the camera to the box.

    Args:
        location: shape (n, 3), in the rect frame, metres.
        rotation: shape (n,), radians about rect y.
    """
    at = np.asarray(location, np.float64)
    return wrap(np.asarray(rotation, np.float64) - np.arctan2(at[..., 0], at[..., 2]))


# --- corners and pixels --------------------------------------------------------------------------------


def camera_corners(location: npt.ArrayLike, hwl: npt.ArrayLike, rotation: npt.ArrayLike) -> Array:
    """The corners (n, 8, 3) in the rect frame, metres, of label rows: four of the bottom, then those above them.

    Args:
        location: shape (n, 3), centres of the bottom faces in the rect frame, metres.
        hwl: shape (n, 3), height, width, length, metres.
        rotation: shape (n,), radians about rect y.
    """
    height, width, length = np.moveaxis(np.asarray(hwl, np.float64)[..., np.newaxis, :], -1, 0)
    angle = np.asarray(rotation, np.float64)[..., np.newaxis]
    along, across = _UNIT[:, 0] * length / 2, _UNIT[:, 1] * width / 2
    cos, sin = np.cos(angle), np.sin(angle)
    corners = np.stack([cos * along + sin * across, -_UNIT[:, 2] * height, cos * across - sin * along], axis=-1)
    return corners + np.asarray(location, np.float64)[..., np.newaxis, :]


def lidar_corners(centre: npt.ArrayLike, lwh: npt.ArrayLike, yaw: npt.ArrayLike) -> Array:
    """The corners (n, 8, 3) in the lidar frame, metres, of cuboids, in the order of :func:`camera_corners`.

    Args:
        centre: shape (n, 3), in the lidar frame, metres.
        lwh: shape (n, 3), length, width, height, metres.
        yaw: shape (n,), radians about lidar z.
    """
    length, width, height = np.moveaxis(np.asarray(lwh, np.float64)[..., np.newaxis, :], -1, 0)
    angle = np.asarray(yaw, np.float64)[..., np.newaxis]
    along, across, up = _UNIT[:, 0] * length / 2, _UNIT[:, 1] * width / 2, (_UNIT[:, 2] - 0.5) * height
    cos, sin = np.cos(angle), np.sin(angle)
    corners = np.stack([cos * along - sin * across, sin * along + cos * across, up + 0 * angle], axis=-1)
    return corners + np.asarray(centre, np.float64)[..., np.newaxis, :]


def project(points: npt.ArrayLike, projection: npt.ArrayLike) -> tuple[Array, Array]:
    """Points by a (3, 4) projection matrix: pixels (..., 2), and depths (...) in metres along the optical axis.

    Args:
        points: shape (..., 3), metres, in the frame the matrix starts from (rect for P0 to P3).
        projection: shape (3, 4). Pixels of points at depth 0 are not finite, of points behind it mirrored.
    """
    matrix = np.asarray(projection, np.float64)
    image = np.asarray(points, np.float64) @ matrix[:, :3].T + matrix[:, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = image[..., :2] / image[..., 2:]
    return pixels, image[..., 2]


def image_boxes(corners: npt.ArrayLike, projection: npt.ArrayLike, size: tuple[int, int] | None = None) -> Array:
    """The boxes (n, 4) in pixels, left, top, right, bottom, around the projections of corners.

    Corners behind the camera are left out; a box with none before it is NaN.

    Args:
        corners: shape (n, 8, 3), metres, in the frame the matrix starts from.
        projection: shape (3, 4).
        size: width and height of the image, to whose pixels' range (0 to width - 1, height - 1) boxes are clipped.
    """
    pixels, depth = project(corners, projection)
    seen = (depth > 0)[..., np.newaxis]
    low = np.where(seen, pixels, np.inf).min(axis=-2)
    high = np.where(seen, pixels, -np.inf).max(axis=-2)
    if size is not None:
        limit = np.array([size[0] - 1, size[1] - 1], np.float64)
        low, high = np.clip(low, 0, limit), np.clip(high, 0, limit)
    boxes = np.concatenate([low, high], axis=-1)
    return np.where(seen.any(axis=-2), boxes, np.nan)


# --- cameras -------------------------------------------------------------------------------------------


def camera_shift(projection: npt.ArrayLike) -> Array:
    """The shift (3,), metres, from the rect frame to the frame of the camera of this (3, 4) projection matrix.

    Raises:
        ValueError: its left (3, 3) part is singular or not finite.
    """
    matrix = _matrix(projection, (3, 4), "the projection matrix")
    _check_regular(matrix[:, :3], "the projection matrix")
    return _inverse(matrix[:, :3]) @ matrix[:, 3]


def camera_pose(projection: npt.ArrayLike, mounting: Rig) -> CameraPose:
    """Place and intrinsics of the camera of a (3, 4) projection matrix that starts from the rect frame.

    The heading is the nearest rotation to what the calibration says, which is orthonormal to a few digits only; the
    position is that of the calibration as it is.

    Raises:
        ValueError: the matrix is singular, not finite, or skewed, which intrinsics without skew cannot say.
    """
    matrix = _matrix(projection, (3, 4), "the projection matrix")
    shift = _padded(np.column_stack([np.eye(3), camera_shift(matrix)]))
    back = _inverse(shift @ mounting.rect_from_lidar)
    x, y, z = (float(value) for value in back[:3, 3])
    fx, fy, cx, cy = (float(matrix[row, column]) for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)))
    pinhole = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    if np.abs(matrix[:, :3] - pinhole).max() > 1e-6 * max(abs(fx), abs(fy)):
        raise ValueError("the projection matrix has skew or scale, which intrinsics fx, fy, cx, cy cannot say")
    return CameraPose((x, y, z), quaternion(nearest_rotation(back[:3, :3])), fx, fy, cx, cy)


def camera_matrices(pose: CameraPose) -> tuple[Array, Array]:
    """A projection matrix (3, 4) and a Tr_velo_to_cam (3, 4), with which R0_rect is the identity, for a camera.

    The rect frame is then the camera's own. :func:`camera_pose` of the two gives the pose again.

    Raises:
        ValueError: the heading is no rotation: a quaternion of length 0.
    """
    world_from_camera = rotation(pose.heading)
    projection = np.array([[pose.fx, 0, pose.cx, 0], [0, pose.fy, pose.cy, 0], [0, 0, 1, 0]], np.float64)
    turn = world_from_camera.T
    return projection, np.column_stack([turn, -turn @ np.array(pose.position, np.float64)])


def see(points: npt.ArrayLike, pose: CameraPose) -> tuple[Array, Array]:
    """Lidar points (..., 3), metres, as a camera sees them: pixels (..., 2) and depths (...), as :func:`project`."""
    projection, tr = camera_matrices(pose)
    return project(points, projection @ _padded(tr))


# --- rotations -----------------------------------------------------------------------------------------


def nearest_rotation(matrix: npt.ArrayLike) -> Array:
    """The rotation (3, 3) nearest to a (3, 3) matrix in the sense of least squares."""
    left, _, right = np.linalg.svd(np.asarray(matrix, np.float64))
    sign = np.array([1.0, 1.0, np.linalg.det(left @ right)])
    turned: Array = (left * np.round(sign)) @ right
    return turned


def quaternion(turn: npt.ArrayLike) -> tuple[float, float, float, float]:
    """The Hamilton quaternion (w, x, y, z), of length 1 and with w >= 0, of a (3, 3) rotation."""
    m = np.asarray(turn, np.float64)
    # Four times the squares of w, x, y, z: starting from the largest keeps all digits.
    diagonal = np.diag(m)
    squares = np.array([1 + diagonal.sum(), *(1 + 2 * diagonal - diagonal.sum())])
    largest = int(squares.argmax())
    differences = (m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1])
    sums = {(0, 1): m[0, 1] + m[1, 0], (0, 2): m[0, 2] + m[2, 0], (1, 2): m[1, 2] + m[2, 1]}
    products = np.empty(4)
    products[largest] = squares[largest]
    for other in range(4):
        if other == largest:
            continue
        low, high = sorted((largest, other))
        products[other] = differences[high - 1] if low == 0 else sums[low - 1, high - 1]
    products /= np.linalg.norm(products)
    first = next(value for value in products if value)
    w, x, y, z = (float(value) for value in products * math.copysign(1.0, first))
    return abs(w) if w == 0 else w, x, y, z


def rotation(heading: npt.ArrayLike) -> Array:
    """The (3, 3) rotation of a Hamilton quaternion (w, x, y, z) of any length but 0.

    Raises:
        ValueError: its length is 0, or it is not finite.
    """
    values: Any = np.asarray(heading, np.float64)
    length = float(np.linalg.norm(values))
    if not math.isfinite(length) or length == 0:
        raise ValueError("the heading is no rotation: a quaternion of length 0, or not finite")
    w, x, y, z = (float(value) for value in values / length)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip

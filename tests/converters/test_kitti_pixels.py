"""What Nucleus is told lies where KITTI's own kit draws it: end to end, from label files to pixels.

Both sides are worked out here from the files' texts, by the development kit's formulas on one side and those of
Nucleus's documentation on the other; nothing of the converter's own geometry is used.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_convert import convert

Array = npt.NDArray[np.float64]


class Frame(NamedTuple):
    """The text of a calibration file and of a label file."""

    calib: str
    labels: str


def numbers(values: Any) -> str:
    return " ".join(f"{value:.12e}" for value in np.ravel(values))


def turned(axis: int, angle: float) -> Array:
    matrix = np.eye(3)
    first, second = (i for i in range(3) if i != axis)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix


NOMINAL = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])


@st.composite
def drives(draw: st.DrawFn, *, upright: bool) -> Frame:
    """One frame: a calibration, and rows of boxes before the camera.

    Args:
        draw: hypothesis.
        upright: whether the camera stands upright in the lidar's frame, whichever way it looks.
    """
    pan, lean = st.floats(-3.1, 3.1), st.floats(-0.3, 0.3)
    turn, r0 = NOMINAL @ turned(2, draw(pan)), np.eye(3)
    if not upright:
        turn = turn @ turned(1, draw(lean)) @ turned(0, draw(lean))
        r0 = turned(2, draw(st.floats(-0.02, 0.02)))
    tr = np.column_stack([turn, draw(st.tuples(*[st.floats(-2, 2)] * 3))])
    focal, last = (
        draw(st.floats(400, 1500)),
        draw(st.tuples(st.floats(-99, 99), st.floats(-3, 3), st.floats(-0.01, 0.01))),
    )
    p2 = np.column_stack(
        [[[focal, 0, draw(st.floats(300, 900))], [0, focal, draw(st.floats(100, 500))], [0, 0, 1]], last]
    )
    ranges = ((1, 4), (0.4, 3), (0.5, 9), (-15, 15), (0, 3), (12, 70), (-3.14, 3.14))
    rows = [
        f"Car 0.00 0 -10 1 2 30 40 {' '.join(f'{draw(st.floats(*one)):.2f}' for one in ranges)}\n"
        for _ in range(draw(st.integers(1, 3)))
    ]
    calib = f"P2: {numbers(p2)}\nR0_rect: {numbers(r0)}\nTr_velo_to_cam: {numbers(tr)}\n"
    return Frame(calib, "".join(rows))


def devkit_pixels(frame: Frame) -> list[Array]:
    """Of each row the pixels of the box's corners (computeBox3D.m), then of its location: shape (9, 2)."""
    p2 = np.array(frame.calib.splitlines()[0].split()[1:], float).reshape(3, 4)
    found = []
    for line in frame.labels.splitlines():
        h, w, l_, x, y, z, ry = map(float, line.split()[8:15])
        about = np.array([[math.cos(ry), 0, math.sin(ry)], [0, 1, 0], [-math.sin(ry), 0, math.cos(ry)]])
        box = about @ np.array([
            np.array([1, 1, -1, -1, 1, 1, -1, -1, 0]) * l_ / 2,
            np.array([0, 0, 0, 0, -1, -1, -1, -1, 0]) * h,
            np.array([1, -1, -1, 1, 1, -1, -1, 1, 0]) * w / 2,
        ])  # fmt: skip
        image = p2 @ np.vstack([box + np.array([[x], [y], [z]]), np.ones(9)])
        found.append((image[:2] / image[2]).T)
    return found


def nucleus_pixels(folder: Path) -> list[Array]:
    """Of each cuboid the pixels of its corners, then of the middle of its bottom, through ``camera_params``."""
    (scene,) = map(json.loads, (folder / "scenes.jsonl").read_text(encoding="utf-8").splitlines())
    (sensors,) = scene["frames"]
    camera = next(item["metadata"]["camera_params"] for item in sensors.values() if item["type"] == "image")
    w, x, y, z = (camera["heading"][axis] for axis in "wxyz")
    assert w * w + x * x + y * y + z * z == pytest.approx(1)
    position = np.array([camera["position"][axis] for axis in "xyz"])
    found = []
    for line in (folder / "annotations.jsonl").read_text(encoding="utf-8").splitlines():
        geometry = json.loads(line)["geometry"]
        if "yaw" not in geometry:
            continue
        size = np.array([geometry["dimensions"][axis] for axis in "xyz"]) / 2
        # The devkit's order: front left, front right, back right, back left of the bottom; the same of the top.
        signs = [(1, 1), (1, -1), (-1, -1), (-1, 1)]
        local = np.array([(*sign, up) for up in (-1, 1) for sign in signs] + [(0, 0, -1)]) * size
        yaw = geometry["yaw"]
        about = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
        world = local @ about.T + [geometry["position"][axis] for axis in "xyz"] - position
        # Hamilton's product q* v q: from the world to the camera.
        axis = -np.array([x, y, z])
        seen = world + 2 * np.cross(axis, np.cross(axis, world) + w * world)
        found.append(
            np.column_stack(
                [
                    camera["fx"] * seen[:, 0] / seen[:, 2] + camera["cx"],
                    camera["fy"] * seen[:, 1] / seen[:, 2] + camera["cy"],
                ]
            )
        )
    return found


@contextmanager
def converted(frame: Frame, **options: Any) -> Iterator[Path]:
    """The folder of what Nucleus is told of a frame."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, text in (("calib", frame.calib), ("label_2", frame.labels)):
            (folder / "training" / kind).mkdir(parents=True)
            (folder / "training" / kind / "000000.txt").write_text(text, encoding="utf-8")
        convert(folder, folder / "nucleus", source="kitti", **options)
        yield folder / "nucleus"


def without_memory(folder: Path) -> None:
    """Take out what our own conversion told itself for the way back: what is left is what anybody's Nucleus has."""
    for path in (folder / "annotations.jsonl", folder / "scenes.jsonl"):
        text = "".join(f"{json.dumps(bare(json.loads(line)))}\n" for line in path.read_text("utf-8").splitlines())
        path.write_text(text, encoding="utf-8")
    (folder / "dataset.json").unlink(missing_ok=True)


def bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if key != "_nucleus_convert"}
    return [bare(inner) for inner in value] if isinstance(value, list) else value


@settings(max_examples=40, deadline=None)
@given(drives(upright=True))
def test_corners_are_the_devkits_pixels(frame: Frame) -> None:
    """A camera that stands upright, whichever way it looks: every corner, to a thousandth of a pixel."""
    wanted = devkit_pixels(frame)
    with converted(frame, exact_yaw=True) as folder:
        found = nucleus_pixels(folder)
    assert len(found) == len(wanted) > 0
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(drives(upright=False))
def test_bottoms_are_the_devkits_pixels(frame: Frame) -> None:
    """Any camera: the middle of the box's bottom, which a cuboid keeps exactly though it can only yaw."""
    wanted = devkit_pixels(frame)
    with converted(frame) as folder:
        found = nucleus_pixels(folder)
    assert len(found) == len(wanted) > 0
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours[8], theirs[8], rtol=0, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(drives(upright=False))
def test_rows_made_from_nucleus_alone_are_the_same_pixels(frame: Frame) -> None:
    """Any camera: cuboids and camera_params, with no memory of KITTI, make rows that are drawn as ours were."""
    wanted = devkit_pixels(frame)
    with converted(frame) as folder:
        without_memory(folder)
        convert(folder, folder / "back", source="nucleus", target="kitti", layout="object")
        (labels,) = (folder / "back").rglob("label_2/*.txt")
        (calib,) = (folder / "back").rglob("calib/*.txt")
        (projection,) = (line for line in calib.read_text("utf-8").splitlines() if line.startswith("P2"))
        # Nothing ties a 2-D box to its cuboid any more: both have a row, and only the cuboid's says where it is.
        rows = [line for line in labels.read_text("utf-8").splitlines(keepends=True) if line.split()[8] != "-1"]
        found = devkit_pixels(Frame(projection, "".join(rows)))
    assert len(found) == len(wanted) > 0
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)

"""What a calibration file means for one camera: how boxes get into the lidar's frame, and into the image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nucleus_convert.converters import frames
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Camera
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.kitti import calib

_KEPT = 64
SKEWED = 1e-3
"""A rotation that is further from orthonormal than this is worth a word."""


class View(NamedTuple):
    """One camera's calibration.

    Attributes:
        rig: how the camera and the lidar are mounted.
        projection: from the rectified camera-0 frame to pixels, shape (3, 4); None: not known.
        camera: the camera in the lidar frame; None where the calibration does not say.
        missing: the matrices that are not known.
    """

    rig: frames.Rig
    projection: frames.Array | None = None
    camera: Camera | None = None
    missing: tuple[str, ...] = ("P2", "R0_rect", "Tr_velo_to_cam")
    skewed: bool = False


UNCALIBRATED = View(frames.rig())


class Views:
    """Views by the text of their calibration; most files of a data set say the same.

    Args:
        camera: the number of the camera.
        exact: whether headings are turned by the true rotation; None: where the mounting asks for it.
    """

    def __init__(self, camera: int, exact: bool | None) -> None:
        self.camera = camera
        self.exact = exact
        self._views: dict[str, View] = {}

    def of(self, text: str | None, name: str | None = None) -> View:
        """The view of a calibration file's text; the nominal one without.

        Raises:
            SchemaError: the calibration is not one.
        """
        if text is None:
            return UNCALIBRATED
        view = self._views.get(text)
        if view is None:
            if len(self._views) >= _KEPT:
                self._views.clear()
            view = self._views[text] = self._made(text, name)
        return view

    def _made(self, text: str, name: str | None) -> View:
        found = calib.parse(text, name)
        projection, r0, tr = found.projection(self.camera), found.r0(), found.tr(self.camera)
        try:
            rig = frames.rig(r0, tr, exact=self.exact)
            made: Camera | None = None
            matrix: Any = None
            if projection is not None:
                matrix = np.asarray(projection, np.float64)
                if tr is not None:
                    made = Camera(**frames.camera_pose(projection, rig)._asdict())
        except ValueError as error:
            raise SchemaError(str(error), Where(file=name), "the calibration is damaged") from error
        skewed = any(
            part is not None and frames.orthonormality([row[:3] for row in part]) > SKEWED for part in (r0, tr)
        )
        return View(rig, matrix, made, tuple(found.missing(self.camera)), skewed)


def of_camera(camera: Camera) -> View:
    """The view of a camera whose place in the lidar's frame is known, but no calibration file of KITTI's."""
    pose = frames.CameraPose(
        tuple(map(float, camera.position)),  # type: ignore[arg-type]
        tuple(map(float, camera.heading)),  # type: ignore[arg-type]
        float(camera.fx), float(camera.fy), float(camera.cx), float(camera.cy),
    )  # fmt: skip
    projection, tr = frames.camera_matrices(pose)
    return View(frames.rig(None, tr), projection, camera, ())


def text_of_camera(camera: Camera, number: int) -> str:
    """A calibration file for such a camera: all four projections are its own."""
    view = of_camera(camera)
    rows = tuple(tuple(float(value) for value in row) for row in view.projection)  # type: ignore[union-attr]
    turn = tuple(tuple(float(value) for value in row) for row in view.rig.rect_from_lidar[:3])
    upright = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    return calib.dump(calib.made(dict.fromkeys({*range(4), number}, rows), upright, turn))


def tell(view: View, report: Report, where: Where) -> None:
    """Report what a view had to assume."""
    if not view.rig.calibrated:
        report.add(
            Code.ASSUMED,
            "no calibration from lidar to camera: cuboids stand in a frame of the camera's own, with nominal axes",
            format="kitti",
            where=where,
        )
    elif "R0_rect" in view.missing:
        report.add(Code.ASSUMED, "no R0_rect: taken for the identity", format="kitti", where=where)
    if view.rig.calibrated and view.rig.exact:
        report.add(
            Code.ASSUMED,
            "the camera is mounted more than 5 degrees off the nominal axes: exact headings (option exact_yaw)",
            format="kitti",
            where=where,
        )
    if view.rig.calibrated and view.projection is None:
        (absent,) = (key for key in view.missing if key.startswith("P"))
        report.add(Code.ASSUMED, f"no {absent}: images have no camera", format="kitti", where=where)
    if view.skewed:
        report.add(
            Code.OUT_OF_RANGE, "rotations of a calibration that are not orthonormal", format="kitti", where=where
        )

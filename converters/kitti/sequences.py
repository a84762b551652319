"""Frames of scenes to the files of the tracking benchmark: one of labels, one of results, one calibration for each.

A scene's label file is of the images of one camera. Those of others have files of their own, where they have rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.filenames import Names, safe_path
from nucleus_convert.converters.kitti.encode import Encoded, Line, form_of
from nucleus_convert.converters.kitti.objects import FORMAT, RESULTS, track_number
from nucleus_convert.converters.kitti.records import FORM
from nucleus_convert.converters.model import Header
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.kitti import labels as wire

_NEW_TRACKS: Final = 100_000
"""Numbers of tracks that had none of KITTI's begin here."""


class Sequences:
    """Writes sequences, a frame after the other.

    Args:
        header: of the data set.
        camera: the number of the camera that label files are of.
        put: appends to a file, by its name.
        report: what could not be said.
    """

    def __init__(self, header: Header, camera: int, put: Callable[[str, bytes], None], report: Report) -> None:
        self.camera = camera
        self.put = put
        self.report = report
        self._names = Names()
        self._files: dict[tuple[str, str | None], str] = {}
        """Scene and sensor -> the label file, without suffix."""
        self._main: dict[str, str | None] = {}
        """Scene -> the sensor whose images its label file is of."""
        self._still: dict[tuple[str, str | None], str | None] = {}
        """Scene and sensor -> calibration, as long as all frames have the same."""
        self._tracks: dict[str, dict[Any, int]] = {}
        own = {scene.id: scene.extras.get(FORMAT, {}) for scene in header.scenes}
        self._forms = {scene: form for scene, said in own.items() if (form := said.get(FORM))}
        self._stems = {scene: str(said.get("sequence", scene)) for scene, said in own.items()}
        self._results = header.extras.get(FORMAT, {}).get(RESULTS) is True

    def labelled(self, group: list[Encoded]) -> Encoded | None:
        """The image of a frame that the label file is of: the camera's, or else the one that the scene began with."""
        images = [one for one in group if one.kept.item.kind == "image"]
        if not images:
            return None
        found = next((one for one in images if str(one.sensor).endswith(f"_{self.camera}")), None)
        if images[0].frame is None:
            return found or images[0]
        scene = images[0].frame[0]
        if found is None and scene in self._main:
            found = next((one for one in images if one.sensor == self._main[scene]), None)
        found = found or images[0]
        self._main.setdefault(scene, found.sensor)
        return found

    def add(self, encoded: Encoded, rows: list[Line], results: list[Line]) -> None:
        """Write the rows and results of an image."""
        assert encoded.frame is not None
        scene, frame = encoded.frame
        main = encoded.sensor == self._main.get(scene)
        folder, stem = self._place(encoded, scene, main=main)
        if not (main or rows or results):
            encoded.place = f"{encoded.prefix}image_{folder}{stem}/{frame:06}"
            return
        name = self._file(encoded, scene, f"{encoded.prefix}label_{folder}", stem)
        stem = name.removeprefix(f"{encoded.prefix}label_{folder}")
        encoded.place = f"{encoded.prefix}image_{folder}{stem}/{frame:06}"
        files = {}
        if rows or (main and encoded.labelled and not (results or self._results)):
            files["labels"] = f"{name}.txt"
            form = form_of(self._forms.get(scene, {})) if main else wire.PLAIN
            text = form.joined([self._lead(row, scene, frame) + row.text for row in rows])
            self.put(files["labels"], text.encode())
        if results or (main and self._results and not rows):
            files["results"] = f"{encoded.prefix}{encoded.results_folder}{name.rpartition('/')[2]}.txt"
            text = "".join(f"{self._lead(row, scene, frame)}{row.text}\n" for row in results)
            self.put(files["results"], text.encode())
        encoded.kept = msgspec.structs.replace(encoded.kept, **files)

    def cloud(self, encoded: Encoded) -> str:
        """Where the point cloud of a frame without images goes, without ending."""
        assert encoded.frame is not None
        scene, frame = encoded.frame
        return f"training/velodyne/{safe_path(self._stems[scene])}/{frame:06}"

    def _place(self, encoded: Encoded, scene: str, *, main: bool) -> tuple[str, str]:
        """Folder of labels or images, behind ``label_`` or ``image_``, and the name of the sequence."""
        stem, number = self._stems[scene], encoded.camera
        if not main and number is None:
            stem = f"{stem}_{encoded.sensor}"
        return f"0{self.camera if number is None else number}/", safe_path(stem)

    def _file(self, encoded: Encoded, scene: str, folder: str, stem: str) -> str:
        """The label file, without suffix; its calibration is written with the first frame."""
        key = scene, encoded.sensor
        name = self._files.get(key)
        if name is not None:
            if self._still.get(key) != encoded.calib and self._still.pop(key, None) is not None:
                what = "camera that moves within its sequence"
                self.report.add(Code.CARRIED, what, format=FORMAT, where=Where(item=str(encoded.kept.item.id)))
            return name
        name = self._files[key] = self._names.free(f"{folder}{stem}")
        self._still[key] = encoded.calib
        if encoded.calib is not None:
            self.put(f"{encoded.prefix}calib/{name.rpartition('/')[2]}.txt", encoded.calib.encode())
        return name

    def _lead(self, row: Line, scene: str, frame: int) -> str:
        """Frame and track of a row."""
        if row.track is None:
            return f"{frame} -1 "
        number = track_number(row.track, scene)
        if number is None:
            known = self._tracks.setdefault(scene, {})
            number = known.setdefault(row.track, _NEW_TRACKS + len(known))
        return f"{frame} {number} "

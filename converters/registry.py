"""The one table of formats.

Modules are imported when asked for, and the errors when raised, so that ``convert --help`` loads next to nothing.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "coco": ("nucleus_convert.converters.coco", "COCO JSON: instances, keypoints, captions, results, LVIS, panoptic"),
    "voc": ("nucleus_convert.converters.voc", "Pascal VOC: XML, ImageSets, masks, results"),
    "yolo": ("nucleus_convert.converters.yolo", "YOLO text labels: Ultralytics and Darknet, five tasks"),
    "kitti": ("nucleus_convert.converters.kitti", "KITTI: object, tracking, raw drives, results"),
    "cvat": ("nucleus_convert.converters.cvat", "CVAT XML 1.1: images and video"),
    "nucleus": ("nucleus_convert.converters.nucleus", "Scale Nucleus payloads as JSON Lines"),
    "maskpng": ("nucleus_convert.converters.maskpng", "PNG masks: one a mask, or one of indices an image"),
    "rle": ("nucleus_convert.converters.rle", "run-length masks as JSON Lines"),
    "ir": ("nucleus_convert.converters.ir", "the model itself as JSON Lines"),
}
"""Format name -> (module, title)."""

ALIASES: Final[Mapping[str, str]] = {
    "mscoco": "coco",
    "lvis": "coco",
    "scale-nucleus": "nucleus",
    "scale": "nucleus",
    "pascal-voc": "voc",
    "pascalvoc": "voc",
    "pascal_voc": "voc",
    "model": "ir",
    "yolov3": "yolo",
    "yolov5": "yolo",
    "yolov8": "yolo",
    "yolo11": "yolo",
    "yolov11": "yolo",
    "ultralytics": "yolo",
    "darknet": "yolo",
    "cvat-images": "cvat",
    "cvat-video": "cvat",
}

FOREIGN: Final[Mapping[str, str]] = {
    "labelme": "labelme JSON is not read; export COCO from it (labelme2coco)",
    "labelbox": "Labelbox exports are not read; export COCO from it",
    "labelstudio": "Label Studio JSON is not read; export COCO from it",
    "label-studio": "Label Studio JSON is not read; export COCO from it",
    "tfrecord": "TFRecord is not read; export COCO or Pascal VOC from the tool that made it",
    "csv": "CSV has no agreed meaning for labels; convert it to COCO results first",
}
"""Names that people will try, and what to do instead."""


def resolve(name: str) -> str:
    """The registered name for a name or alias.

    Raises:
        UnknownFormatError: with the nearest name, or what to do about a foreign format.
    """
    from nucleus_convert.converters.errors import UnknownFormatError

    wanted = name.lower()
    wanted = ALIASES.get(wanted, wanted)
    if wanted in FORMATS:
        return wanted
    if wanted in FOREIGN:
        raise UnknownFormatError(f"format '{name}' cannot be converted: {FOREIGN[wanted]}")
    near = difflib.get_close_matches(wanted, [*FORMATS, *ALIASES], n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"formats: {', '.join(FORMATS)}"
    raise UnknownFormatError(f"unknown format '{name}'", hint=hint)


def get(name: str) -> Any:
    """The module of a format: satisfies ``protocol.Format``."""
    return cast("Any", importlib.import_module(FORMATS[resolve(name)][0]))


def reasons(source: Path) -> dict[str, str | None]:
    """For each format, why the source is not of it; None where it is."""
    return {name: get(name).sniff(source) for name in FORMATS}


def detect(source: Path) -> str:
    """The one format the source is of.

    Raises:
        ReadError: there is no such file or folder.
        DetectionError: no format, or more than one, with every reason.
    """
    from nucleus_convert.converters.errors import DetectionError, ReadError, Where

    if not source.exists():
        raise ReadError("no such file or folder", Where(file=str(source)), hint="check the path")
    why = reasons(source)
    fits = [name for name, reason in why.items() if reason is None]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise DetectionError(
            f"could be {' or '.join(fits)}",
            Where(file=str(source)),
            hint=f"name it: convert {fits[0]}2... or convert {fits[1]}2...",
        )
    listing = "; ".join(f"not {name}: {reason}" for name, reason in why.items())
    raise DetectionError("no known format", Where(file=str(source)), hint=listing)

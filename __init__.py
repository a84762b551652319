"""Convert label formats to and from Scale Nucleus payloads, losing nothing silently.

    from nucleus_convert import convert, read, write

    report = convert("instances.json", "nucleus/", source="coco", target="nucleus")

Names are loaded when they are first used, so that the command line starts quickly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nucleus_convert.converters.codes import Code, Severity
    from nucleus_convert.converters.errors import ConvertError, LossRefusedError, Where
    from nucleus_convert.converters.labelset import LabelSet, from_records
    from nucleus_convert.converters.looks import Looked, check, inspect
    from nucleus_convert.converters.maskfiles import png_to_rle, rle_to_png
    from nucleus_convert.converters.model import (
        Annotation,
        Box,
        Camera,
        Caption,
        Cuboid,
        Cuboid2D,
        Ellipse,
        Header,
        Item,
        Keypoints,
        Label,
        Line,
        Mask,
        Points,
        Polygon,
        Record,
        Scene,
        SceneRef,
        Shape,
        Tag,
        Taxonomy,
    )
    from nucleus_convert.converters.pipeline import convert, read, write
    from nucleus_convert.converters.report import Finding, Report

_HOMES = {
    "codes": ("Code", "Severity"),
    "errors": ("ConvertError", "LossRefusedError", "Where"),
    "labelset": ("LabelSet", "from_records"),
    "looks": ("Looked", "check", "inspect"),
    "model": (
        *("Annotation", "Box", "Camera", "Caption", "Cuboid", "Cuboid2D", "Ellipse", "Header", "Item"),
        *("Keypoints", "Label", "Line", "Mask", "Points", "Polygon", "Record", "Scene", "SceneRef", "Shape"),
        *("Tag", "Taxonomy"),
    ),
    "maskfiles": ("png_to_rle", "rle_to_png"),
    "pipeline": ("convert", "read", "write"),
    "report": ("Finding", "Report"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - what people look for first comes first
    "convert",
    "read",
    "write",
    "inspect",
    "check",
    "rle_to_png",
    "png_to_rle",
    "Report",
    "Finding",
    "Looked",
    "Code",
    "Severity",
    "ConvertError",
    "LossRefusedError",
    "Where",
    "LabelSet",
    "from_records",
    "Annotation",
    "Box",
    "Camera",
    "Caption",
    "Cuboid",
    "Cuboid2D",
    "Ellipse",
    "Header",
    "Item",
    "Keypoints",
    "Label",
    "Line",
    "Mask",
    "Points",
    "Polygon",
    "Record",
    "Scene",
    "SceneRef",
    "Shape",
    "Tag",
    "Taxonomy",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.converters.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

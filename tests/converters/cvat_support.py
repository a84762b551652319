"""Reading and writing CVAT XML in tests, and what CVAT's importer asks of a file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from nucleus_convert.converters import cvat, fit
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import Annotation, Box, Header, Item, Record
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report

BOX = Box(1, 2, 3, 4)
SHAPES = ("box", "ellipse", "polygon", "polyline", "points", "cuboid", "skeleton", "mask")


def written(labels: LabelSet, folder: Path, report: Report | None = None, **options: Any) -> Path:
    """Fit and write, as a run does, and close the balance."""
    report = report or Report()
    made = cvat.WriteOptions.model_validate(options)
    spec, _ = cvat.narrowed(labels, options=made, report=report)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "annotations.xml"
    fitted = fit.fitted(labels, spec, report)
    cvat.write(fitted, Target(path=path, final=path), options=made, report=report)
    report.ledger.check()
    return path


def again(path: Path) -> LabelSet:
    return cvat.read(path, options=cvat.ReadOptions.model_validate({}), report=Report())


def importable(path: Path) -> ET.Element:
    """The file, after the checks that CVAT's importer makes: it indexes these without defaults."""
    root = ET.parse(path).getroot()
    labels: dict[str, set[str]] = {}
    joints: dict[str, set[str]] = {}
    for label in root.iterfind("meta//labels/label"):
        name, parent = label.findtext("name") or "", label.findtext("parent")
        if parent:
            joints.setdefault(parent, set()).add(name)
        else:
            labels[name] = {one.findtext("name") or "" for one in label.iterfind("attributes/attribute")}
    for holder in [*root.iterfind("image"), *root.iterfind("track")]:
        track = holder.tag == "track"
        for shape in holder:
            if shape.tag not in (*SHAPES, "tag"):
                assert shape.tag == "nucleus_convert"
                continue
            own = holder.attrib["label"] if track else shape.attrib["label"]
            assert own in labels
            assert {one.attrib["name"] for one in shape.iterfind("attribute")} <= labels[own]
            if shape.tag == "tag":
                continue
            if track:
                int(shape.attrib["frame"])
                assert shape.attrib["keyframe"] in "01"
            if shape.tag == "skeleton":
                for joint in shape.iterfind("points"):
                    assert joint.attrib["label"] in joints[own]
                    assert {"occluded", "outside", "points"} <= joint.attrib.keys()
                    assert not track or "keyframe" in joint.attrib
                continue
            assert shape.attrib["occluded"] in "01"
            assert not track or shape.attrib["outside"] in "01"
            int(shape.attrib["z_order"])
            wanted = {
                "box": {"xtl", "ytl", "xbr", "ybr"},
                "ellipse": {"cx", "cy", "rx", "ry"},
                "mask": {"rle", "left", "top", "width", "height"},
                "cuboid": set(cvat.objects.CORNERS),
            }.get(shape.tag, {"points"})
            assert wanted <= shape.attrib.keys()
    return root


def labelset(*annotations: Annotation, item: Item, header: Header) -> LabelSet:
    """A data set of one item."""
    return from_records(header, [Record(item, annotations)])


def said(report: Report) -> dict[tuple[str, str], int]:
    """How often each thing was found."""
    return {(str(finding.code), finding.what): finding.count for finding in report.sorted()}

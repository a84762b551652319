"""Plain objects taken as text: the same data set, and the same files, as by way of their numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import nucleus_convert
from nucleus_convert.converters import several
from nucleus_convert.converters.coco.read import CocoSource
from nucleus_convert.converters.fit import fitted
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Box, Mask, Polygon, Record
from nucleus_convert.converters.nucleus import SPEC
from nucleus_convert.converters.outline import Outlines
from nucleus_convert.converters.protocol import Feature
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.cocorows import reads_plain_rows

pytestmark = pytest.mark.skipif(not reads_plain_rows(), reason="without compiler or pread there are no outlines")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "park"
RING = [10.5, 20, 30, 20, 30, 40.25, 10.5, 40.25]


def row(**changes: Any) -> dict[str, Any]:
    """A plain row, in the order in which COCO writes the keys."""
    plain = {
        "segmentation": [RING],
        "area": 394.875,
        "iscrowd": 0,
        "image_id": 1,
        "bbox": [10.5, 20, 19.5, 20.25],
        "category_id": 18,
        "id": 7,
    }
    return {key: value for key, value in {**plain, **changes}.items() if value is not ...}


ROWS: dict[str, list[dict[str, Any]]] = {
    "plain": [row(), row(id=8)],
    "several parts": [row(segmentation=[RING, [1, 2, 3, 4, 5, 7]], bbox=[1, 2, 29, 38.25]), row(id=8)],
    "crowd of polygons": [row(iscrowd=1)],
    "whole numbers": [row(area=400, bbox=[10, 20, 20, 20])],
    "a box that the region does not give": [row(), row(id=8, bbox=[0, 0, 100, 100])],
    "a box half a pixel off": [row(bbox=[10, 20, 20, 20])],
    "an id twice": [row(), row()],
    "an id as text": [row(), row(id="7")],
    "no id": [row(), row(id=...)],
    "no area": [row(area=...), row(id=8)],
    "a ring that is closed": [row(segmentation=[[*RING, 10.5, 20]])],
    "a ring of two points": [row(segmentation=[[1, 2, 3, 4]])],
    "a mask between": [
        *(row(id=i) for i in range(3)),
        row(id=8, iscrowd=1, segmentation={"size": [50, 60], "counts": [100, 20, 2880]}),
        *(row(id=i) for i in range(20, 23)),
        row(id=9, iscrowd=1, segmentation={"size": [50, 60], "counts": [200, 20, 2780]}),
    ],
    "parts beside outlines": [
        row(),
        row(id=8, note=1, segmentation=[RING, [1, 2, 3, 4, 5, 7]], bbox=[1, 2, 29, 38.25]),
    ],
    "a mask among them": [row(), row(id=8, iscrowd=1, segmentation={"size": [50, 60], "counts": [100, 20, 2880]})],
    "an unknown key": [row(), row(id=8, note="[[1]]")],
    "keypoints": [row(), row(id=8, keypoints=[1, 2, 2], num_keypoints=1)],
    "an area beyond float64's digits": [row(area=0.1234567890123456)],
}

REJECTED = {
    "an unknown category": [row(), row(id=8, category_id=19), row(id=9)],
    "unknown categories in a row": [row(id=i, category_id=19 if i in (7, 8, 9, 11) else 18) for i in range(7, 13)],
    "nothing but unknown categories": [row(id=i, category_id=19) for i in range(3)],
}


def source(folder: Path, rows: list[dict[str, Any]], *, indent: int | None = None) -> Path:
    path = folder / "instances.json"
    data = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 60, "height": 50, "license": 1},
            {"id": 2, "file_name": "b.jpg", "width": 60, "height": 50},
        ],
        "annotations": [*rows, {**row(id=100), "image_id": 2}],
        "categories": [
            {"id": 18, "name": 'the "dog"', "supercategory": "animal", "keypoints": ["nose"], "skeleton": []}
        ],
    }
    path.write_text(json.dumps(data, indent=indent), encoding="utf-8")
    return path


def drawn(labels: LabelSet) -> list[Record]:
    return [several.drawn(record) for record in labels.outlined()]


def outlines(labels: LabelSet) -> int:
    return sum(len(one.ids) for record in labels.outlined() for one in record.annotations if isinstance(one, Outlines))


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())
def test_drawn_outlines_are_the_annotations(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    labels = nucleus_convert.read(source(tmp_path, rows), "coco")
    assert drawn(labels) == list(labels)
    assert outlines(labels) >= 1  # the row of the other image


def test_what_an_outline_says(tmp_path: Path) -> None:
    labels = nucleus_convert.read(source(tmp_path, ROWS["several parts"]), "coco")
    (both,) = next(iter(labels.outlined())).annotations
    assert isinstance(both, Outlines)
    assert (both.labels, both.ids, both.places, both.gap()) == (['the "dog"'] * 2, [7, 8], [0, 1], 0)
    assert both.named()[1] == Annotation(label='the "dog"', id=8, crowd=False)
    assert both.drawn()[0] == Annotation(
        label='the "dog"',
        shapes=(Box(1, 2, 29, 38.25), Polygon(((tuple(RING),), ((1, 2, 3, 4, 5, 7),)))),
        id=7,
        crowd=False,
        extras={"coco": {"row": 0, "area": 394.875}},
    )


@pytest.mark.parametrize("indent", [None, 0, 1], ids=["in a line", "in lines", "indented"])
@pytest.mark.parametrize("rows", [*ROWS.values(), *REJECTED.values()], ids=[*ROWS, *REJECTED])
def test_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], indent: int | None
) -> None:
    path = source(tmp_path, rows, indent=indent)
    assert files(path, tmp_path / "quick") == files(path, tmp_path / "slow", monkeypatch)


def test_the_same_files_of_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files(EXAMPLE, tmp_path / "quick") == files(EXAMPLE, tmp_path / "slow", monkeypatch)


def files(path: Path, target: Path, monkeypatch: pytest.MonkeyPatch | None = None) -> dict[str, bytes]:
    """What a conversion writes; with monkeypatch, without any outlines."""
    if monkeypatch is not None:
        monkeypatch.delattr(CocoSource, "outlined")
    nucleus_convert.convert(path, target, source="coco", mask_url_prefix="masks/", on_error="skip")
    written = sorted(file for file in target.rglob("*") if file.is_file())
    return {file.relative_to(target).as_posix(): file.read_bytes() for file in written}


def test_outlines_are_only_for_those_who_know_them(tmp_path: Path) -> None:
    labels = nucleus_convert.read(source(tmp_path, ROWS["plain"]), "coco")
    assert outlines(fitted(labels, SPEC, Report())) == 3
    assert outlines(labels.map(lambda record: record)) == 0
    no_polygons = msgspec.structs.replace(SPEC, holds=frozenset(f for f in SPEC.holds if f != "polygon"))
    assert outlines(fitted(labels, no_polygons, Report())) == 0


def test_masks_stay_masks(tmp_path: Path) -> None:
    labels = nucleus_convert.read(source(tmp_path, ROWS["a mask among them"]), "coco")
    first, second = next(iter(labels.outlined())).annotations
    assert isinstance(first, Outlines)
    assert second.shape(Mask) is not None


def test_outlines_are_drawn_where_the_target_does_not_hold_all_of_them(tmp_path: Path) -> None:
    without = msgspec.structs.replace(
        SPEC, holds=SPEC.holds - {Feature.EXTRAS}, carries=SPEC.carries - {Feature.EXTRAS}
    )
    labels = nucleus_convert.read(source(tmp_path, ROWS["a mask among them"]), "coco")
    reports = Report(), Report()
    quick, plain = (
        list(fitted(one, without, report).records(report))
        for one, report in zip((labels.outlined(), labels), reports, strict=True)
    )
    assert quick == plain
    assert reports[0].to_dict() == reports[1].to_dict()
    assert [f.count for f in reports[0].findings.values() if f.code == "dropped"] == [3]

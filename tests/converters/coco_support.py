"""COCO documents in small, and reading and writing them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from nucleus_convert.converters import coco, fit
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Record
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "coco"

IMAGE = {"id": 1, "file_name": "a.jpg", "width": 10, "height": 8}
CATEGORY = {"id": 1, "name": "cat", "supercategory": "animal"}
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}


def document(*annotations: dict[str, Any], **root: Any) -> dict[str, Any]:
    """A data set of one image and one category, or what is given instead."""
    whole = {"images": [IMAGE], "annotations": list(annotations), "categories": [CATEGORY], **root}
    return copy.deepcopy(whole)


def row(**fields: Any) -> dict[str, Any]:
    """An annotation: a box, with fields set or (given as ...) left out."""
    return {key: value for key, value in {**BOX, **fields}.items() if value is not ...}


def save(value: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return path


def opened(path: Path, report: Report | None = None, **options: Any) -> LabelSet:
    return coco.read(path, options=coco.ReadOptions(**options), report=report or Report())


def records(value: Any, folder: Path, report: Report | None = None, **options: Any) -> list[Record]:
    """The records of a document."""
    report = report or Report()
    return list(opened(save(value, folder / "in.json"), report, **options).records(report))


def annotation(fields: dict[str, Any], folder: Path, report: Report | None = None, **root: Any) -> Annotation:
    """The one annotation of a document with that row."""
    [record] = records(document(fields, **root), folder, report)
    [only] = record.annotations
    return only


def written(
    labels: LabelSet, target: Path, report: Report | None = None, workers: int = 1, **options: Any
) -> Report:
    """Fit and write, as a run does; the balance must close."""
    report = report or Report()
    if not target.suffix:
        target.mkdir(exist_ok=True)
    fitted = fit.fitted(labels, coco.SPEC, report)
    coco.write(
        fitted,
        Target(path=target, final=target, workers=workers),
        options=coco.WriteOptions(**options),
        report=report,
    )
    report.ledger.check()
    return report


def returned(value: Any, folder: Path, report: Report | None = None, **options: Any) -> Any:
    """A document read and written again."""
    report = report or Report()
    written(opened(save(value, folder / "in.json"), report, **options), folder / "out.json", report)
    return json.loads((folder / "out.json").read_text())


def findings(report: Report) -> dict[tuple[str, str], int]:
    return {(str(f.code), f.what): f.count for f in report.sorted()}


def differences(before: Any, after: Any, path: str = "$") -> list[str]:
    """The JSON paths at which two values differ; true is not 1."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [
            place
            for key in keys
            for place in (
                differences(before[key], after[key], f"{path}.{key}")
                if key in before and key in after
                else [f"{path}.{key} {'gone' if key in before else 'new'}"]
            )
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [place for i, (a, b) in pairs for place in differences(a, b, f"{path}[{i}]")]
    same = before == after and isinstance(before, bool) == isinstance(after, bool)
    return [] if same else [path]

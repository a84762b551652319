"""What others make of our COCO: pycocotools loads it and scores it the same. Real files come back as they were."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from nucleus_convert.converters import coco, fit, registry
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report

from .coco_support import SAMPLES, differences, findings, opened, save, written

PARK = Path(__file__).resolve().parents[2] / "examples" / "park" / "annotations"
LARGEST = 20_000_000
"""Samples of more bytes take too long."""


def quietly(function: Any, *args: Any) -> Any:
    """pycocotools prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*args)


def scores(truth: Path, results: Path, kind: str) -> list[float]:
    loaded = COCO()
    loaded.dataset = json.loads(truth.read_text())
    # COCOeval fails on objects that are not drawn in the way it compares.
    field = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}[kind]
    loaded.dataset["annotations"] = [row for row in loaded.dataset["annotations"] if row.get(field)]
    quietly(loaded.createIndex)
    evaluation = quietly(COCOeval, loaded, quietly(loaded.loadRes, str(results)), kind)
    points = max(len(category.get("keypoints", ())) for category in loaded.dataset["categories"])
    evaluation.params.kpt_oks_sigmas = np.full(points, 0.05)
    for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
        quietly(step)
    return [float(number) for number in evaluation.stats]


def through(source: Path, target: Path, middle: str | None, folder: Path, **options: Any) -> Report:
    """Convert to COCO, by way of another format if one is named."""
    report = Report()
    labels: LabelSet = opened(source, report, **options)
    if middle is not None:
        module = registry.get(middle)
        place = folder / f"{middle}{module.SPEC.suffix}"
        if not module.SPEC.suffix:
            place.mkdir()
        there = Report()
        module.write(
            fit.fitted(labels, module.SPEC, there),
            Target(path=place, final=place),
            options=module.WriteOptions(),
            report=there,
        )
        labels = module.read(place, options=module.ReadOptions(), report=Report())
    return written(labels, target, None if middle else report)


@pytest.mark.parametrize("middle", [None, *[name for name in registry.FORMATS if name != "coco"]])
@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_the_example_scores_the_same_when_it_comes_back(
    tmp_path: Path, kind: str, middle: str | None
) -> None:
    truth, results = PARK / "instances.json", PARK / f"results_{kind}.json"
    through(truth, tmp_path / "truth.json", middle, tmp_path)
    (tmp_path / "r").mkdir()
    through(results, tmp_path / "r/results.json", middle, tmp_path / "r")
    expected = scores(truth, results, kind)
    assert len(expected) == (10 if kind == "keypoints" else 12)
    assert any(number > 0 for number in expected)
    assert scores(tmp_path / "truth.json", tmp_path / "r/results.json", kind) == expected
    for before, after in ((truth, tmp_path / "truth.json"), (results, tmp_path / "r/results.json")):
        assert differences(json.loads(before.read_text()), json.loads(after.read_text())) == []


@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_results_with_their_ground_truth_score_the_same(tmp_path: Path, kind: str) -> None:
    truth, results = PARK / "instances.json", PARK / f"results_{kind}.json"
    through(results, tmp_path / "out.json", None, tmp_path, ground_truth=truth)
    assert scores(truth, tmp_path / "out_results.json", kind) == scores(truth, results, kind)
    loaded = quietly(COCO, str(tmp_path / "out.json"))
    assert loaded.getImgIds() == quietly(COCO, str(truth)).getImgIds()


def test_pycocotools_loads_what_was_never_coco(tmp_path: Path, fixtures: Path) -> None:
    """Ids, boxes, areas and crowds are there, and the area is the mask's."""
    module = registry.get("ir")
    everything = module.read(
        fixtures / "ir/everything/labels.ndjson", options=module.ReadOptions(), report=Report()
    )
    target = tmp_path / "out"
    written(everything, target)
    files = sorted((target / "annotations").iterdir())
    seen = 0
    for path in files:
        value = json.loads(path.read_text())
        if isinstance(value, list):
            continue
        loaded = quietly(COCO, str(path))
        assert len(loaded.getAnnIds()) == len(value["annotations"])
        for annotation in loaded.loadAnns(loaded.getAnnIds()):
            assert {
                "id",
                "image_id",
                "category_id",
                "iscrowd",
            } <= annotation.keys() or "caption" in annotation
            if annotation.get("segmentation"):
                assert loaded.annToMask(annotation).sum() == annotation["area"]
                seen += 1
    assert seen


def test_masks_of_the_example_are_the_same_pixels(tmp_path: Path) -> None:
    through(PARK / "instances.json", tmp_path / "out.json", "ir", tmp_path)
    before, after = quietly(COCO, str(PARK / "instances.json")), quietly(COCO, str(tmp_path / "out.json"))
    compared = 0
    for one, other in zip(
        before.loadAnns(before.getAnnIds()), after.loadAnns(after.getAnnIds()), strict=True
    ):
        if one.get("segmentation"):
            assert np.array_equal(before.annToMask(one), after.annToMask(other))
            compared += 1
    assert compared > 10


@pytest.mark.parametrize("crowd", [0, 1])
def test_an_area_that_was_missing_is_what_pycocotools_counts(tmp_path: Path, crowd: int) -> None:
    value = json.loads((PARK / "instances.json").read_text())
    areas = {}
    for annotation in value["annotations"]:
        areas[annotation["id"]] = annotation.pop("area")
        annotation["iscrowd"] = crowd
    report = Report()
    written(opened(save(value, tmp_path / "in.json"), report), tmp_path / "out.json", report)
    loaded = quietly(COCO, str(tmp_path / "out.json"))
    for annotation in loaded.loadAnns(loaded.getAnnIds()):
        if annotation.get("segmentation"):
            assert annotation["area"] == loaded.annToMask(annotation).sum()
        else:
            assert annotation["area"] == annotation["bbox"][2] * annotation["bbox"][3]
    assert report.count("completed", "area") == len(areas)


# ---------------------------------------------------------------------- real files

REFUSED = {
    "lvis-api/data/coco_to_synset.json": "has no 'images'",
    "panopticapi/panoptic_coco_categories.json": "expected an annotation object",
    "panopticapi/sample_data/panoptic_examples.json": "panoptic file, which this version does not read",
    "rlt_system/data/coco/annotations/instances_val2017.json": "truncated",
    # cut down for size: not all of their categories are there
    "mnbe1973/datasets/coco/annotations/instances_train2017.json": "not among the file's categories",
    "mnbe1973/datasets/coco/annotations/instances_val2017.json": "not among the file's categories",
}
SAMPLE_FILES = sorted(path.relative_to(SAMPLES).as_posix() for path in SAMPLES.rglob("*.json"))


@pytest.mark.skipif(not SAMPLE_FILES, reason=f"the samples are not at {SAMPLES}")
def test_the_samples_are_there() -> None:
    assert len(SAMPLE_FILES) > 60
    assert REFUSED.keys() <= set(SAMPLE_FILES)


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_a_real_file_comes_back_but_for_what_the_report_names(tmp_path: Path, name: str) -> None:
    path = SAMPLES / name
    if path.stat().st_size > LARGEST:
        pytest.skip("large")
    before = json.loads(path.read_text(encoding="utf-8-sig")) if name not in REFUSED else None
    refused = REFUSED.get(name)
    if isinstance(before, dict) and not {"images", "annotations"} & before.keys():
        refused = "has no 'images'"
    report = Report()
    if refused is not None:
        with pytest.raises(ConvertError) as caught:
            written(opened(path, report), tmp_path / "out.json", report)
        assert refused in str(caught.value)
        return
    written(opened(path, report), tmp_path / "out.json", report)
    after = json.loads((tmp_path / "out.json").read_text())
    found = differences(before, after)
    assert all(place.endswith(" new") for place in found)
    completed = {what: count for (code, what), count in findings(report).items() if code == "completed"}
    fields = [place.removesuffix(" new").rpartition(".")[2] for place in found]
    assert {field: fields.count(field) for field in set(fields)} == completed


@pytest.mark.skipif(not SAMPLE_FILES, reason=f"the samples are not at {SAMPLES}")
def test_a_folder_as_roboflow_exports_it(tmp_path: Path) -> None:
    source = SAMPLES / "DEDfreak-AlignTogether-PlantVeinDetection/leaf-restnet50"
    assert coco.sniff(source) is None
    report = Report()
    labels = opened(source, report)
    subsets = [record.item.subset for record in labels]
    sizes = {
        split: len(json.loads((source / split / "_annotations.coco.json").read_text())["images"])
        for split in ("test", "train", "valid")
    }
    assert {split: subsets.count(split) for split in sizes} == sizes
    written(labels, tmp_path / "out", report)
    assert sum(1 for _ in opened(tmp_path / "out")) == sum(sizes.values())

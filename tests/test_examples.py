"""The example data set is what its script makes, and pycocotools agrees with it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PARK = EXAMPLES / "park"
ANNOTATIONS = PARK / "annotations"


@pytest.fixture(scope="module")
def park() -> Any:
    return COCO(str(ANNOTATIONS / "instances.json"))


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools 2.0 on numpy 2
def test_annotations_are_what_the_script_makes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_example", EXAMPLES / "make_example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
        module.make(tmp_path)
    finally:
        del sys.modules[spec.name]
    made = {path.name: path.read_bytes() for path in (tmp_path / "annotations").iterdir()}
    assert made == {path.name: path.read_bytes() for path in ANNOTATIONS.iterdir()}
    assert {p.name for p in (tmp_path / "images").iterdir()} == {p.name for p in (PARK / "images").iterdir()}


def test_pictures_have_the_stated_size(park: Any) -> None:
    for row in park.imgs.values():
        with Image.open(PARK / "images" / row["file_name"]) as picture:
            assert picture.size == (row["width"], row["height"])


def test_area_and_box_are_those_of_the_mask(park: Any) -> None:
    for row in park.anns.values():
        if not row.get("segmentation"):
            continue
        rle = park.annToRLE(row)
        assert row["area"] == mask_api.area(rle)
        assert np.abs(mask_api.toBbox(rle) - row["bbox"]).max() <= 1.01


@pytest.mark.parametrize(
    ("task", "categories"), [("bbox", None), ("segm", [1, 3, 18, 37, 62]), ("keypoints", [1])]
)
def test_results_score_neither_full_marks_nor_none(
    park: Any, task: str, categories: list[int] | None
) -> None:
    truth = COCO()  # evaluation rewrites its rows, so it gets its own
    truth.dataset = json.loads((ANNOTATIONS / "instances.json").read_text(encoding="utf-8"))
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(str(ANNOTATIONS / f"results_{task}.json")), task)
    if categories:
        evaluation.params.catIds = categories
    if task == "keypoints":
        evaluation.params.kpt_oks_sigmas = np.full(7, 0.05)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert 0.3 < evaluation.stats[0] < 0.9

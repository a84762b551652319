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

from nucleus_convert import convert
from nucleus_convert.converters import frames

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PARK = EXAMPLES / "park"
STREET = EXAMPLES / "street"
ANNOTATIONS = PARK / "annotations"


@pytest.fixture(scope="module")
def park() -> Any:
    return COCO(str(ANNOTATIONS / "instances.json"))


def script(name: str) -> Any:
    """A script of the examples as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools 2.0 on numpy 2
def test_annotations_are_what_the_script_makes(tmp_path: Path) -> None:
    script("make_example").make(tmp_path)
    made = {path.name: path.read_bytes() for path in (tmp_path / "annotations").iterdir()}
    assert made == {path.name: path.read_bytes() for path in ANNOTATIONS.iterdir()}
    assert {p.name for p in (tmp_path / "images").iterdir()} == {p.name for p in (PARK / "images").iterdir()}


def test_the_street_is_what_its_script_makes(tmp_path: Path) -> None:
    script("make_street").make(tmp_path)
    for path in (STREET / "training").rglob("*.*"):
        made = tmp_path / path.relative_to(STREET)
        if path.suffix == ".png":
            with Image.open(path) as ours, Image.open(made) as theirs:
                assert ours.size == theirs.size == (1242, 375)
        elif path.suffix == ".bin":
            ours, theirs = (np.fromfile(one, "<f4").reshape(-1, 4) for one in (path, made))
            # Sines and cosines may differ in the last digit from one computer to the next.
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.0011)
        else:
            assert made.read_text(encoding="utf-8") == path.read_text(encoding="utf-8")


def test_the_street_in_nucleus(tmp_path: Path) -> None:
    """Cuboids hold the points that fell on their objects, and their corners lie in the boxes of the image."""
    street = script("make_street")
    convert(STREET, tmp_path / "nucleus", source="kitti")
    frame = street.load(tmp_path / "nucleus")
    assert [label for label, *_ in frame.cuboids] == [thing.label for thing in street.NAMED]
    assert [label for label, _ in frame.boxes][-1] == "DontCare"
    assert len(frame.points) == (STREET / "training/velodyne/000000.bin").stat().st_size // 16
    for (_, centre, size, yaw), (_, box), thing in zip(frame.cuboids, frame.boxes, street.NAMED, strict=False):
        away = frame.points[:, :3] - centre
        along = away[:, 0] * np.cos(yaw) + away[:, 1] * np.sin(yaw)
        across = away[:, 1] * np.cos(yaw) - away[:, 0] * np.sin(yaw)
        off = np.abs(np.stack([along, across, away[:, 2]], axis=1)) - size / 2
        # 5 cm for the lidar's noise and the labels' two decimals.
        assert np.count_nonzero((off < 0.05).all(axis=1)) >= 6, thing
        pixels, _ = frames.see(frames.lidar_corners(centre, size, yaw), frame.camera)
        found = [*pixels.min(axis=0), *pixels.max(axis=0)]
        wanted = [box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]]
        assert found == pytest.approx(wanted, abs=3)
    with Image.open(STREET / "training/image_2/000000.png") as photo, Image.open(EXAMPLES / "street.png") as picture:
        assert street.draw_picture(frame, photo).size == picture.size


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

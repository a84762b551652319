"""Nucleus segmentation: each way of drawing regions, held against pycocotools, numpy, Pillow and the SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from nucleus_convert import Code, ConvertError, Report, convert
from nucleus_convert.cli import run
from nucleus_convert.converters.compose import PIXELS_COVERED, PIXELS_NOT_DRAWN

ROOT = Path(__file__).resolve().parents[2]
PARK = ROOT / "examples" / "park" / "annotations"
SAMPLES = Path("/work/shared/samples/coco")
HEIGHT, WIDTH = 48, 64
NAMES = ("cat", "dog", "sky")


def disc(random: np.random.Generator) -> np.ndarray:
    rows, columns = np.indices((HEIGHT, WIDTH))
    y, x, r = random.uniform((0, 0, 3), (HEIGHT, WIDTH, 16))
    mask = (rows - y) ** 2 + (columns - x) ** 2 < r * r
    if r > 8:
        mask &= (rows - y) ** 2 + (columns - x) ** 2 > 9  # a hole
    return mask


def rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def region_of(row: dict[str, Any], image: dict[str, Any]) -> np.ndarray:
    """A COCO row's pixels, as pycocotools draws them."""
    region = row["segmentation"]
    if isinstance(region, list) or isinstance(region["counts"], list):
        region = coco_mask.frPyObjects(region, image["height"], image["width"])
    return coco_mask.decode(coco_mask.merge(region) if isinstance(region, list) else region).astype(bool)


def make(path: Path, per_image: int = 8, images: int = 3, **more: Any) -> dict[str, Any]:
    """Masks with holes and a few polygons, some of which overlap, one of them a crowd."""
    random = np.random.default_rng(11)
    rows: list[dict[str, Any]] = []
    for image in range(images):
        for k in range(per_image):
            mask = disc(random)
            x, y = random.uniform(0, 40, 2)
            corners = [x, y, x + 9.3, y + 1.7, x + 4.1, y + 8.8]
            region: Any = [[round(v, 2) for v in corners]] if k % 4 == 3 else rle(mask)
            row = {"id": len(rows) + 1, "image_id": image, "category_id": 1 + k % 3, "segmentation": region}
            row |= {"iscrowd": int(k == 2), "attributes": {"number": k}, **more}
            encoded = region if isinstance(region, dict) else coco_mask.frPyObjects(region, HEIGHT, WIDTH)[0]
            row |= {"area": int(coco_mask.area(encoded)), "bbox": coco_mask.toBbox(encoded).tolist()}
            rows.append(row)
    data = {
        "images": [
            {"id": k, "file_name": f"dir/{k}.jpg", "height": HEIGHT, "width": WIDTH} for k in range(images)
        ],
        "annotations": rows,
        "categories": [
            {"id": k, "name": name, "isthing": int(name != "sky")} for k, name in enumerate(NAMES, 1)
        ],
    }
    path.write_text(json.dumps(data), encoding="utf-8")
    return data


def lines(path: Path) -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


def masks_of(folder: Path, name: str = "annotations") -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    """Reference id -> pixels and payload of each mask payload, the picture being what Nucleus asks for."""
    found = {}
    for payload in lines(folder / f"{name}.jsonl"):
        if payload["type"] == "mask":
            with Image.open(folder / "masks" / Path(payload["mask_url"]).name) as image:
                assert image.mode == "L"
                found[payload["reference_id"]] = np.asarray(image), payload
    return found


def there_and_back(source: Path, tmp_path: Path, **options: Any) -> tuple[Report, dict[str, Any]]:
    report = convert(source, tmp_path / "n", source="coco", target="nucleus", verify="all", **options)
    convert(tmp_path / "n", tmp_path / "back.json", source="nucleus", target="coco", verify="all")
    return report, json.loads((tmp_path / "back.json").read_text(encoding="utf-8"))


def painted(
    data: dict[str, Any], image: int, overlap: str, kinds: type | tuple[type, ...]
) -> tuple[np.ndarray, dict[int, np.ndarray], list[dict[str, Any]]]:
    """Independent painting: the id of the annotation on top of each pixel, crowds at the bottom."""
    info = data["images"][image]
    rows = [r for r in data["annotations"] if r["image_id"] == image and isinstance(r["segmentation"], kinds)]
    regions = {row["id"]: region_of(row, info) for row in rows}
    order = sorted(
        rows, key=lambda r: (not r["iscrowd"], -int(regions[r["id"]].sum()) if overlap == "smaller" else 0)
    )
    top = np.zeros((HEIGHT, WIDTH), np.int64)
    for row in order:
        top[regions[row["id"]]] = row["id"]
    return top, regions, rows


@pytest.mark.parametrize("overlap", ["later", "smaller"])
@pytest.mark.parametrize("how", ["auto", "instance"])
def test_instances(tmp_path: Path, how: str, overlap: str) -> None:
    data = make(tmp_path / "in.json")
    report, back = there_and_back(tmp_path / "in.json", tmp_path, segmentation=how, overlap=overlap)
    lost = 0
    pictures = masks_of(tmp_path / "n")
    for image in range(3):
        kinds = dict if how == "auto" else (dict, list)
        top, regions, rows = painted(data, image, overlap, kinds)
        shown, payload = pictures[f"dir/{image}.jpg"]
        segments = payload["annotations"]
        assert [segment["index"] for segment in segments] == list(range(1, len(rows) + 1))
        assert [segment["label"] for segment in segments] == [NAMES[row["category_id"] - 1] for row in rows]
        assert [segment["metadata"]["number"] for segment in segments] == [
            row["attributes"]["number"] for row in rows
        ]
        for segment, row in zip(segments, rows, strict=True):
            assert np.array_equal(shown == segment["index"], top == row["id"])
            lost += int((regions[row["id"]] & (top != row["id"])).sum())
    assert lost > 0
    assert report.count(Code.MASK_OVERLAP, PIXELS_COVERED) == lost
    assert back["annotations"] == data["annotations"]


def test_semantic(tmp_path: Path) -> None:
    data = make(tmp_path / "in.json")
    report, back = there_and_back(tmp_path / "in.json", tmp_path, segmentation="semantic")
    lost = 0
    for image, (shown, payload) in enumerate(masks_of(tmp_path / "n").values()):
        top, regions, rows = painted(data, image, "later", (dict, list))
        label = {row["id"]: NAMES[row["category_id"] - 1] for row in rows}
        index = {segment["label"]: segment["index"] for segment in payload["annotations"]}
        assert sorted(index) == sorted(set(label.values()))
        meant = np.zeros_like(top)
        for identity in label:
            meant[top == identity] = index[label[identity]]
        assert np.array_equal(shown, meant)
        lost += sum(int((regions[i] & (meant != index[label[i]])).sum()) for i in label)
    assert lost > 0
    assert report.count(Code.MASK_OVERLAP, PIXELS_COVERED) == lost
    assert back["annotations"] == data["annotations"]


def test_panoptic(tmp_path: Path) -> None:
    data = make(tmp_path / "in.json")
    _, back = there_and_back(tmp_path / "in.json", tmp_path, segmentation="panoptic")
    for image, (shown, payload) in enumerate(masks_of(tmp_path / "n").values()):
        top, _, rows = painted(data, image, "later", (dict, list))
        skies = [row["id"] for row in rows if row["category_id"] == 3]
        labels = [segment["label"] for segment in payload["annotations"]]
        assert labels.count("sky") == 1
        assert len(labels) == len(rows) - len(skies) + 1
        sky = payload["annotations"][labels.index("sky")]["index"]
        assert np.array_equal(shown == sky, np.isin(top, skies))
    assert back["annotations"] == data["annotations"]


def test_polygons(tmp_path: Path) -> None:
    data = make(tmp_path / "in.json", score=0.75)
    report, back = there_and_back(tmp_path / "in.json", tmp_path, segmentation="polygon")
    assert report.count(Code.APPROXIMATED) > 0  # holes
    assert not masks_of(tmp_path / "n")
    payloads = lines(tmp_path / "n" / "predictions.jsonl")
    assert {payload["type"] for payload in payloads} == {"polygon"}
    assert all(payload["confidence"] == 0.75 for payload in payloads)
    rings: dict[int, list[list[float]]] = {}
    for payload in payloads:
        own = payload["metadata"]["_nucleus_convert"]
        identity = own.get("id", own.get("object"))
        ring = [value for vertex in payload["geometry"]["vertices"] for value in (vertex["x"], vertex["y"])]
        rings.setdefault(int(identity), []).append(ring)
    for row in data["annotations"]:
        image = data["images"][row["image_id"]]
        drawn = coco_mask.merge(coco_mask.frPyObjects(rings[row["id"]], HEIGHT, WIDTH))
        assert np.array_equal(coco_mask.decode(drawn), region_of(row, image))
    assert back["annotations"] == data["annotations"]


def test_simplified_polygons_tell_their_iou(tmp_path: Path) -> None:
    data = make(tmp_path / "in.json")
    report, back = there_and_back(tmp_path / "in.json", tmp_path, segmentation="polygon", simplify=1.5)
    worst = [finding.worst for finding in report.findings.values() if finding.measure == "IoU"]
    assert worst
    assert all(0.3 < iou < 1 for iou in worst if iou is not None)
    assert back["annotations"] == data["annotations"]


def test_confidence_of_predictions_in_segments(tmp_path: Path) -> None:
    truth = PARK / "instances.json"
    convert(
        PARK / "results_segm.json",
        tmp_path / "n",
        source="coco",
        target="nucleus",
        ground_truth=truth,
        verify="all",
    )
    given = json.loads((PARK / "results_segm.json").read_text())
    segments = [
        s for _, payload in masks_of(tmp_path / "n", "predictions").values() for s in payload["annotations"]
    ]
    assert sorted(s["metadata"]["confidence"] for s in segments) == sorted(row["score"] for row in given)


def columns(path: Path, count: int) -> dict[str, Any]:
    rows = []
    for k in range(count):
        mask = np.zeros((4, 300), bool)
        mask[: 1 + k % 3, k] = True
        rows.append(
            {
                "id": k + 1,
                "image_id": 1,
                "category_id": 1 + k % 3,
                "segmentation": rle(mask),
                "area": int(mask.sum()),
                "bbox": [k, 0, 1, 1 + k % 3],
                "iscrowd": 0,
            }
        )
    data = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 4, "width": 300}],
        "annotations": rows,
        "categories": [{"id": k, "name": name} for k, name in enumerate(NAMES, 1)],
    }
    path.write_text(json.dumps(data), encoding="utf-8")
    return data


@pytest.mark.parametrize("how", ["auto", "instance", "panoptic"])
def test_more_than_255(tmp_path: Path, how: str) -> None:
    data = columns(tmp_path / "in.json", 290)
    report, back = there_and_back(tmp_path / "in.json", tmp_path, segmentation=how)
    ((shown, payload),) = masks_of(tmp_path / "n").values()
    areas = [row["area"] for row in data["annotations"]]
    kept = sorted(range(290), key=lambda k: -areas[k])[:255]
    assert len(payload["annotations"]) == 255
    assert set(np.unique(shown)) == set(range(256))
    assert int((shown > 0).sum()) == sum(areas[k] for k in kept)
    assert report.count(Code.MASK_OVERFLOW, "the smallest are not drawn") == 35
    assert report.count(Code.MASK_OVERFLOW, PIXELS_NOT_DRAWN) == sum(areas) - sum(areas[k] for k in kept)
    assert back["annotations"] == data["annotations"]


def test_more_than_255_by_label(tmp_path: Path) -> None:
    data = columns(tmp_path / "in.json", 290)
    _, back = there_and_back(tmp_path / "in.json", tmp_path, overflow="semantic")
    ((shown, payload),) = masks_of(tmp_path / "n").values()
    assert [segment["label"] for segment in payload["annotations"]] == list(NAMES)
    assert int((shown > 0).sum()) == sum(row["area"] for row in data["annotations"])
    assert back["annotations"] == data["annotations"]


def test_more_than_255_fails(tmp_path: Path) -> None:
    columns(tmp_path / "in.json", 256)
    with pytest.raises(ConvertError, match="256 masks") as caught:
        convert(tmp_path / "in.json", tmp_path / "n", source="coco", overflow="fail")
    assert caught.value.exit_code == 42
    assert not (tmp_path / "n").exists()
    columns(tmp_path / "in.json", 255)
    convert(tmp_path / "in.json", tmp_path / "n", source="coco", overflow="fail")


def test_overlap_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "in.json")
    args = ["coco2nucleus", str(tmp_path / "in.json"), "-o", str(tmp_path / "n"), "--overlap", "fail"]
    assert run(args) == 42
    text = capsys.readouterr().err
    assert "overlap by" in text
    assert "--overlap later" in text
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize("how", ["auto", "instance", "semantic", "panoptic"])
def test_the_sdk_takes_the_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    nucleus = pytest.importorskip("nucleus")
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "in.json")
    convert("in.json", "n", source="coco", target="nucleus", segmentation=how)
    count = 0
    for payload in lines(tmp_path / "n" / "annotations.jsonl"):
        if payload["type"] != "mask":
            continue
        count += 1
        annotation = nucleus.SegmentationAnnotation.from_json(payload)
        assert annotation.has_local_files_to_upload()
        assert annotation.to_payload()["mask_url"] == payload["mask_url"]
        with Image.open(annotation.mask_url) as image:
            assert (image.mode, image.size, image.format) == ("L", (WIDTH, HEIGHT), "PNG")
            present = set(np.unique(np.asarray(image))) - {0}
        assert present <= {segment.index for segment in annotation.annotations}
        assert len({segment.index for segment in annotation.annotations}) == len(annotation.annotations)
    assert count == 3


@pytest.mark.parametrize("how", ["auto", "polygon", "instance", "semantic", "panoptic"])
def test_park_comes_back_exact(tmp_path: Path, how: str) -> None:
    _, back = there_and_back(PARK / "instances.json", tmp_path, segmentation=how)
    assert back == json.loads((PARK / "instances.json").read_text(encoding="utf-8"))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no sample files in {SAMPLES}")
@pytest.mark.parametrize("how", ["instance", "semantic", "polygon"])
def test_real_data_comes_back_exact(tmp_path: Path, how: str) -> None:
    source = SAMPLES / "tiny_coco" / "annotations" / "instances_val2017.json"
    report, back = there_and_back(source, tmp_path, segmentation=how)
    data = json.loads(source.read_text(encoding="utf-8"))
    assert back == data
    if how == "instance":
        lost = 0
        pictures = masks_of(tmp_path / "n")
        for image in data["images"]:
            rows = [row for row in data["annotations"] if row["image_id"] == image["id"]]
            if not rows:
                continue
            shown, _ = pictures[image["file_name"]]
            assert shown.shape == (image["height"], image["width"])
            lost += sum(int(region_of(row, image).sum()) for row in rows) - int((shown > 0).sum())
        # What is painted over is lost once for each mask but the one on top.
        assert report.count(Code.MASK_OVERLAP, PIXELS_COVERED) == lost


def test_workers_make_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "in.json", per_image=3, images=300)
    for workers in (1, 2):
        convert(
            tmp_path / "in.json", tmp_path / str(workers), source="coco", segmentation="panoptic",
            workers=workers, mask_url_prefix="masks", verify="none",
        )  # fmt: skip
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in "12"
    )
    assert one == two

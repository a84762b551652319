"""COCO panoptic: samples and made-up files come back identical; what does not fit together is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from nucleus_convert import Code, ConvertError, Mask, Report, convert, read, write
from nucleus_convert.cli import run
from nucleus_convert.converters.errors import MalformedFileError

ROOT = Path(__file__).resolve().parents[2]
PARK = ROOT / "examples" / "park" / "annotations" / "instances.json"
SAMPLES = Path("/work/shared/samples/coco/panopticapi/sample_data")
HEIGHT, WIDTH = 40, 60
IDS = (1, 255, 256, 65536, 197887, 2**24 - 1)


def colours(ids: np.ndarray) -> np.ndarray:
    """Panopticapi's id2rgb, by its definition."""
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)


def ids_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        rgb = np.asarray(image).astype(np.int64)
    return rgb[:, :, 0] + 256 * rgb[:, :, 1] + 65536 * rgb[:, :, 2]


def picture(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    ids = np.zeros((HEIGHT, WIDTH), np.int64)
    rows, columns = np.indices(ids.shape)
    for number in IDS:
        y, x, r = random.uniform((0, 0, 5), (HEIGHT, WIDTH, 12))
        ids[(rows - y) ** 2 + (columns - x) ** 2 < r * r] = number
    return ids


def segment(ids: np.ndarray, number: int, **more: Any) -> dict[str, Any]:
    ys, xs = np.nonzero(ids == number)
    box = [int(v) for v in (xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1)]
    return {"id": number, "category_id": 7, "area": len(ys), "bbox": box, "iscrowd": 0, **more}


def make(folder: Path, count: int = 3, **root: Any) -> tuple[Path, dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "panoptic_val").mkdir()
    rows = []
    for k in range(count):
        ids = picture(k)
        Image.fromarray(colours(ids)).save(folder / "panoptic_val" / f"{k}.png")
        present = [number for number in reversed(IDS) if (ids == number).any()]
        segments = [
            segment(ids, number, **({"checked": True} if number == 255 else {})) for number in present
        ]
        rows.append({"segments_info": segments, "file_name": f"{k}.png", "image_id": k, "reviewed": k})
    data = {
        "info": {"year": 2026},
        "annotations": rows[::-1],
        "images": [
            {"id": k, "file_name": f"{k}.jpg", "height": HEIGHT, "width": WIDTH} for k in range(count)
        ],
        "categories": [
            {"id": 7, "name": "cat", "supercategory": "pet", "isthing": 1, "color": [1, 2, 3]},
            {"id": 9, "name": "sky", "supercategory": "outside", "isthing": 0, "color": [4, 5, 6]},
        ],
        **root,
    }
    data = {key: value for key, value in data.items() if value is not None}
    path = folder / "panoptic_val.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path, data


def loaded(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def again(source: Path, target: Path, **options: Any) -> Report:
    report = Report(options.pop("on_error", "fail"))
    labels = read(source, "coco", report=report)
    return write(labels, target, "coco", report=report, verify=options.pop("verify", "all"), **options)


def same_pictures(a: Path, b: Path) -> None:
    names = sorted(path.name for path in a.with_suffix("").iterdir())
    assert names == sorted(path.name for path in b.with_suffix("").iterdir())
    for name in names:
        assert np.array_equal(ids_of(a.with_suffix("") / name), ids_of(b.with_suffix("") / name))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no sample files in {SAMPLES}")
@pytest.mark.parametrize("through", ["coco", "nucleus"])
def test_the_samples_return_identical(tmp_path: Path, through: str) -> None:
    source = SAMPLES / "panoptic_examples.json"
    if through == "coco":
        again(source, tmp_path / "back.json")
    else:
        convert(source, tmp_path / "n", source="coco", target="nucleus", verify="all")
        convert(tmp_path / "n", tmp_path / "back.json", source="nucleus", target="coco", verify="all")
    assert loaded(tmp_path / "back.json") == loaded(source)
    same_pictures(source, tmp_path / "back.json")


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no sample files in {SAMPLES}")
def test_the_samples_masks_are_those_of_the_detection_form() -> None:
    # panopticapi made both of its files from one another.
    form = loaded(SAMPLES / "panoptic_coco_detection_format.json")
    expected = sorted((row["image_id"], row["segmentation"]["counts"]) for row in form["annotations"])
    found = [
        (record.item.id, annotation.shape(Mask).counts)
        for record in read(SAMPLES / "panoptic_examples.json").records(Report())
        for annotation in record.annotations
    ]
    assert sorted(found) == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_returns_identical(tmp_path: Path, workers: int) -> None:
    source, data = make(tmp_path / "in", 300 if workers == 2 else 3)
    again(source, tmp_path / "back.json", workers=workers)
    assert loaded(tmp_path / "back.json") == data
    same_pictures(source, tmp_path / "back.json")


def test_masks_are_the_pixels(tmp_path: Path) -> None:
    source, _ = make(tmp_path / "in")
    for record in read(source).records(Report()):
        ids = picture(record.item.id)
        assert {annotation.id for annotation in record.annotations} == set(np.unique(ids)) - {0}
        for annotation in record.annotations:
            mask = annotation.shape(Mask)
            decoded = coco_mask.decode({"size": [mask.height, mask.width], "counts": mask.counts})
            assert np.array_equal(decoded, ids == annotation.id)
            assert (annotation.label, annotation.crowd) == ("cat", False)


def test_a_folder_of_splits(tmp_path: Path) -> None:
    make(tmp_path / "in" / "annotations")
    source = tmp_path / "in" / "annotations" / "panoptic_val.json"
    shutil.copy(source, source.with_name("panoptic_train.json"))
    shutil.copytree(source.with_suffix(""), source.with_name("panoptic_train"))
    again(tmp_path / "in", tmp_path / "back")
    for split in ("val", "train"):
        assert loaded(tmp_path / "back" / "annotations" / f"panoptic_{split}.json") == loaded(source)


def test_results_and_another_folder(tmp_path: Path) -> None:
    source, data = make(tmp_path / "in", images=None, categories=None)
    shutil.move(source.with_suffix(""), tmp_path / "pngs")
    with pytest.raises(ConvertError, match="PNGs is not there"):
        read(source)
    truth, _ = make(tmp_path / "truth")
    found = read(source, ground_truth=truth, panoptic_masks=tmp_path / "pngs")
    records = list(found.records(Report()))
    assert [record.item.path for record in records] == ["2.jpg", "1.jpg", "0.jpg"]
    assert all(
        annotation.is_prediction and annotation.label == "cat"
        for r in records
        for annotation in r.annotations
    )
    alone = list(read(source, panoptic_masks=tmp_path / "pngs").records(Report()))
    assert {annotation.label for record in alone for annotation in record.annotations} == {"7"}
    write(read(source, panoptic_masks=tmp_path / "pngs"), tmp_path / "back.json", "coco", verify="none")
    assert loaded(tmp_path / "back.json")["annotations"] == data["annotations"]


def test_what_does_not_fit_together_is_said_and_kept(tmp_path: Path) -> None:
    source, data = make(tmp_path / "in", 1)
    ids = picture(0)
    row = data["annotations"][0]
    gone = row["segments_info"].pop(0)["id"]  # pixels without a segment
    row["segments_info"].append(
        {"id": 77, "category_id": 9, "area": 5, "bbox": [0, 0, 1, 5]}
    )  # and the reverse
    row["segments_info"][0]["area"] += 1
    row["segments_info"][1]["bbox"] = [float(v) for v in row["segments_info"][1]["bbox"]]
    source.write_text(json.dumps(data))
    report = again(source, tmp_path / "back.json")
    assert report.count(Code.UNREADABLE_SHAPE, "segment without pixels in the PNG") == 1
    assert report.count(Code.VALUE_NORMALISED) >= 3
    assert loaded(tmp_path / "back.json") == data
    assert np.array_equal(ids_of(tmp_path / "back" / "0.png"), ids)
    assert (ids == gone).any()


def test_instances_to_panoptic_and_back(tmp_path: Path) -> None:
    report = again(PARK, tmp_path / "p.json", kind="panoptic")
    assert report.count(Code.APPROXIMATED) == 26
    data = loaded(tmp_path / "p.json")
    given = loaded(PARK)
    assert all(row["isthing"] == 1 and len(row["color"]) == 3 for row in data["categories"])
    shown = lost = 0
    for row in data["annotations"]:
        ids = ids_of(tmp_path / "p" / row["file_name"])
        assert set(np.unique(ids)) - {0} == {one["id"] for one in row["segments_info"] if one["area"]}
        for one in row["segments_info"]:
            assert one["area"] == (ids == one["id"]).sum()
            shown += one["area"]
            original = next(a for a in given["annotations"] if a["id"] == one["id"])
            lost += int(original["area"]) - one["area"]
    assert report.count(Code.MASK_OVERLAP, "pixels covered by other masks, in all") == lost
    again(tmp_path / "p.json", tmp_path / "i.json", kind="instances")
    back = loaded(tmp_path / "i.json")
    assert back["annotations"] == given["annotations"]
    assert [image["id"] for image in back["images"]] == [image["id"] for image in given["images"]]


def test_panoptic_to_instances_has_ids_of_its_own(tmp_path: Path) -> None:
    source, _ = make(tmp_path / "in")
    again(source, tmp_path / "i.json", kind="instances")
    rows = loaded(tmp_path / "i.json")["annotations"]
    assert sorted(row["id"] for row in rows) == list(range(1, len(rows) + 1))
    for row in rows:
        assert row["area"] == coco_mask.area(row["segmentation"])
        assert row["bbox"] == coco_mask.toBbox(row["segmentation"]).tolist()
    again(tmp_path / "i.json", tmp_path / "back.json", kind="panoptic")
    same_pictures(source, tmp_path / "back.json")


def break_(data: dict[str, Any], path: Path, how: str) -> None:
    row = data["annotations"][0]
    png = path.with_suffix("") / row["file_name"]
    if how == "outside":
        row["file_name"] = "../panoptic_val/0.png"
    elif how == "absolute":
        row["file_name"] = "/etc/passwd"
    elif how == "missing":
        png.unlink()
    elif how == "grey":
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(png)
    elif how == "cut":
        png.write_bytes(png.read_bytes()[:100])
    elif how == "size":
        Image.fromarray(np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8)).save(png)
    elif how == "twice":
        data["annotations"].append(row)
    elif how == "image":
        row["image_id"] = 99
    elif how == "segments":
        row["segments_info"] = 5
    elif how == "category":
        row["segments_info"][0]["category_id"] = 8
    elif how == "zero":
        row["segments_info"][0]["id"] = 0
    elif how == "large":
        row["segments_info"][0]["id"] = 2**24
    elif how == "segment twice":
        row["segments_info"].append(row["segments_info"][0])
    elif how == "crowd":
        row["segments_info"][0]["iscrowd"] = "no"
    path.write_text(json.dumps(data))


BROKEN = [
    *(
        "outside",
        "absolute",
        "missing",
        "grey",
        "cut",
        "size",
        "twice",
        "image",
        "segments",
        "category",
        "zero",
    ),
    *("large", "segment twice", "crowd"),
]


@pytest.mark.parametrize("how", BROKEN)
def test_broken_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    source, data = make(tmp_path / "in")
    break_(data, source, how)
    code = run(["coco2nucleus", str(source), "-o", str(tmp_path / "out")])
    text = capsys.readouterr().err
    assert 30 <= code <= 33, text
    assert text.count("error:") == 1
    assert not (tmp_path / "out").exists()
    code = run(["coco2nucleus", str(source), "-o", str(tmp_path / "out"), "--on-error", "quarantine"])
    text = capsys.readouterr().err
    assert code == 0, text
    assert (tmp_path / "out" / "rejected.jsonl").read_text().count("\n") >= 1


def with_nan(data: dict[str, Any], place: str) -> tuple[str, str]:
    """Put a NaN in the second row of ``place``; its JSON path, and that row as text."""
    row = data[place][1]
    if place == "annotations":
        row["segments_info"][1]["area"] = float("nan")
        return "$.annotations[1].segments_info[1].area", json.dumps(row)
    row["gsd"] = float("nan")
    return "$.images[1].gsd", json.dumps(row)


@pytest.mark.parametrize("place", ["annotations", "images"])
def test_a_row_with_nan_is_one_bad_row(tmp_path: Path, place: str) -> None:
    source, data = make(tmp_path / "in")
    path, row = with_nan(data, place)
    source.write_text(json.dumps(data))
    with pytest.raises(MalformedFileError) as caught:
        read(source, "coco", report=Report())
    assert f"panoptic_val.json {path}: NaN is not JSON" in str(caught.value)
    report = Report("quarantine")
    found = {record.item.id: len(record.annotations) for record in read(source, "coco", report=report).records(report)}
    first, *rest = report.rejected
    assert (first.where.path, first.reason, first.record) == (path, "NaN is not JSON", row)
    counts = {entry["image_id"]: len(entry["segments_info"]) for entry in data["annotations"]}
    if place == "annotations":  # rows of the images 2, 1, 0
        assert (found, rest) == ({**counts, 1: 0}, [])
    else:
        assert found == {0: counts[0], 2: counts[2]}
        assert [(one.where.path, one.reason) for one in rest] == [
            ("$.annotations[1]", "the annotation's image could not be read")
        ]


def test_a_ground_truth_with_nan(tmp_path: Path) -> None:
    truth, data = make(tmp_path / "truth")
    results, _ = make(tmp_path / "in", images=None, categories=None)
    with_nan(data, "images")
    truth.write_text(json.dumps(data))
    report = Report("quarantine")
    labels = read(results, "coco", report=report, ground_truth=truth)
    assert [record.item.id for record in labels.records(report)] == [2, 0]
    assert [one.reason for one in report.rejected] == [
        "NaN is not JSON",
        "the annotation's image could not be read",
    ]


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    source, data = make(tmp_path / "in", 2)
    data["annotations"][1]["file_name"] = data["annotations"][0]["file_name"]
    source.write_text(json.dumps(data))
    again(source, tmp_path / "back.json", verify="none")
    assert len({row["file_name"] for row in loaded(tmp_path / "back.json")["annotations"]}) == 2

"""Each rule about Nucleus payloads: a folder that breaks exactly it, and what the SDK says of the same payloads."""

from __future__ import annotations

import copy
import gc
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nucleus
import numpy as np
import pytest
from nucleus.annotation import check_all_mask_paths_remote
from nucleus.annotation_uploader import AnnotationUploader, PredictionUploader
from nucleus.dataset_item import check_for_duplicate_reference_ids
from nucleus.errors import DuplicateIDError
from nucleus.scene import check_all_scene_paths_remote
from nucleus.utils import serialize_and_write
from PIL import Image

from nucleus_convert import convert
from nucleus_convert.converters import looks
from nucleus_convert.converters.checking.catalogue import RULES, Code, Level
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.nucleus import ReadOptions, Setting, examine, examiner
from nucleus_convert.converters.nucleus.maskcheck import MaskCheck
from nucleus_convert.formats.nucleus import wire

ROOT = Path(__file__).resolve().parent.parent.parent
Rows = list[Any]
Folder = dict[str, Rows]


def box(**changes: Any) -> dict[str, Any]:
    row = {
        "label": "car",
        "type": "box",
        "geometry": {"x": 1, "y": 1, "width": 4, "height": 3},
        "reference_id": "a",
        "annotation_id": "1",
    }
    return {**row, **changes}


def points(**changes: Any) -> dict[str, Any]:
    geometry = {
        "keypoints": [{"x": 1, "y": 1, "visible": True}, {"x": 2, "y": 3, "visible": False}],
        "names": ["nose", "tail"],
        "skeleton": [[0, 1]],
    }
    geometry.update(changes)
    return box(type="keypoints", annotation_id="k", geometry=geometry)


def tag(**changes: Any) -> dict[str, Any]:
    row = {"label": "sunny", "type": "category", "geometry": {}, "reference_id": "a", "taxonomy_name": "weather"}
    return {**row, **changes}


def mask(**changes: Any) -> dict[str, Any]:
    row = {
        "type": "mask",
        "mask_url": "masks/a.png",
        "annotations": [{"label": "road", "index": 1}, {"label": "sky", "index": 2}],
        "reference_id": "a",
        "annotation_id": "segmentation",
    }
    return {**row, **changes}


def item(name: str = "a", **changes: Any) -> dict[str, Any]:
    return {
        "image_url": f"s3://b/{name}.jpg",
        "reference_id": name,
        "metadata": {},
        "width": 10,
        "height": 8,
        **changes,
    }


def cloud(name: str = "p", **changes: Any) -> dict[str, Any]:
    return {"url": f"s3://b/{name}.json", "type": "pointcloud", "reference_id": name, "metadata": {}, **changes}


def frame(name: str, **changes: Any) -> dict[str, Any]:
    return {"url": f"s3://b/{name}.jpg", "type": "image", "reference_id": name, "metadata": {}, **changes}


def cuboid(**changes: Any) -> dict[str, Any]:
    xyz = {"x": 1, "y": 2, "z": 3}
    return box(type="cuboid", geometry={"position": xyz, "dimensions": xyz, "yaw": 0.5}, **changes)


def clean() -> Folder:
    """A folder with something of everything, and nothing wrong."""
    return {
        "items": [item("a"), item("b")],
        "annotations": [box(metadata={"speed": 3, "note": "x"}), box(annotation_id="2"), points(), tag(), mask()],
        "predictions": [box(confidence=0.5, class_pdf={"car": 0.75, "bus": 0.25})],
        "taxonomies": [{"taxonomy_name": "weather", "taxonomy_type": "category", "labels": ["sunny", "rainy"]}],
    }


def scenes() -> Folder:
    """A folder of scenes, with nothing wrong."""
    lidar = {"reference_id": "s", "frames": [{"lidar": cloud("p0"), "front": frame("f0")}, {"lidar": cloud("p1")}]}
    video = {"reference_id": "v", "frame_rate": 5, "frames": [frame("v0"), frame("v1")]}
    rows = [cuboid(reference_id="p0"), tag(reference_id="s")]
    return {"scenes": [lidar, video], "annotations": rows, "taxonomies": clean()["taxonomies"]}


def pixels(width: int = 10, height: int = 8) -> np.ndarray[Any, Any]:
    values = np.zeros((height, width), np.uint8)
    values[:3], values[5:] = 1, 2
    return values


def save(folder: Path, rows: Folder, picture: Image.Image | bytes | None = None) -> Path:
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    for name, lines in rows.items():
        if name == "taxonomies":
            (folder / "taxonomies.json").write_text(json.dumps(lines))
        else:
            text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
            (folder / f"{name}.jsonl").write_text(text)
    if isinstance(picture, bytes):
        (folder / "masks" / "a.png").write_bytes(picture)
    else:
        (picture or Image.fromarray(pixels())).save(folder / "masks" / "a.png")
    return folder


def found(folder: Path, least: Level = Level.WARNING, **settings: Any) -> dict[str, int]:
    """Codes and how often, of what is at least so grave: of the whole command, files and model."""
    looked = looks.check(folder, source="nucleus", **settings)
    assert looked.error is None
    counts: dict[str, int] = {}
    for problem in looked.problems.found.values():
        # Boxes here lie where they will; what that means is tested with the geometry.
        if problem.level >= least and problem.code != str(Code.DUPLICATE_OBJECT):
            counts[problem.code] = counts.get(problem.code, 0) + problem.count
    return counts


@pytest.mark.parametrize("rows", [clean(), scenes()], ids=["items", "scenes"])
def test_a_clean_folder_is_clean(tmp_path: Path, rows: Folder) -> None:
    assert found(save(tmp_path / "n", rows)) == {}
    for row in rows["annotations"]:
        nucleus.annotation.Annotation.from_json(row)


def test_the_examples_output_is_clean(tmp_path: Path) -> None:
    source = ROOT / "examples/park/annotations/instances.json"
    convert(source, tmp_path / "n", source="coco", target="nucleus")
    assert found(tmp_path / "n") == {}
    looked = looks.check(source, target="nucleus")
    assert [problem.code for problem in looked.problems.found.values() if problem.level > Level.NOTE] == []


def changed(change: Callable[[Folder], object], base: Callable[[], Folder] = clean) -> Folder:
    rows = copy.deepcopy(base())
    change(rows)
    return rows


def appended(name: str, *more: Any, base: Callable[[], Folder] = clean) -> Folder:
    return changed(lambda rows: rows.setdefault(name, []).extend(more), base)


def replaced(name: str, number: int, row: Any, base: Callable[[], Folder] = clean) -> Folder:
    return changed(lambda rows: rows[name].__setitem__(number, row), base)


FLAT = box(annotation_id=None)
BREAKS: dict[str, tuple[Folder, dict[Code, int]]] = {
    "ids of two annotations": (appended("annotations", box()), {Code.DUPLICATE_ANNOTATION_ID: 1}),
    "ids of three predictions": (
        appended("predictions", box(confidence=0.1), box(confidence=0.2)),
        {Code.DUPLICATE_ANNOTATION_ID: 2},
    ),
    "a metadata key of two types": (
        appended("annotations", box(annotation_id="3", metadata={"speed": "fast"})),
        {Code.METADATA_TYPE: 1},
    ),
    "a key of two types over predictions": (
        appended("predictions", box(annotation_id="3", confidence=1, metadata={"note": 3.5})),
        {Code.METADATA_TYPE: 1},
    ),
    "a key of two types in a segment": (
        replaced(
            "annotations", 4, mask(annotations=[{"label": "r", "index": n, "metadata": {"note": n}} for n in (1, 2)])
        ),
        {Code.METADATA_TYPE: 1},
    ),
    "a key of two types over items": (
        changed(lambda rows: [row.update(metadata={"k": k}) for row, k in zip(rows["items"], (1, "1"), strict=True)]),
        {Code.METADATA_TYPE: 1},
    ),
    "confidence over 1": (replaced("predictions", 0, box(confidence=1.01)), {Code.CONFIDENCE_RANGE: 1}),
    "confidence below 0": (replaced("predictions", 0, box(confidence=-0.1)), {Code.CONFIDENCE_RANGE: 1}),
    "class_pdf of less than 1": (
        replaced("predictions", 0, box(confidence=1, class_pdf={"car": 0.5, "bus": 0.4})),
        {Code.CLASS_PDF_SUM: 1},
    ),
    "class_pdf out of range": (
        replaced("predictions", 0, box(confidence=1, class_pdf={"car": 1.5, "bus": -0.5})),
        {Code.CLASS_PDF_RANGE: 1},
    ),
    "keypoints: too few names": (replaced("annotations", 2, points(names=["nose"])), {Code.KEYPOINT_NAMES: 1}),
    "keypoints: a name twice": (replaced("annotations", 2, points(names=["n", "n"])), {Code.KEYPOINT_NAMES: 1}),
    "keypoints: an edge to nowhere": (
        replaced("annotations", 2, points(skeleton=[[0, 2]])),
        {Code.KEYPOINT_SKELETON: 1},
    ),
    "keypoints: an edge of three": (
        replaced("annotations", 2, points(skeleton=[[0, 1, 1]])),
        {Code.KEYPOINT_SKELETON: 1},
    ),
    "keypoints: visible nowhere": (
        replaced("annotations", 2, points(keypoints=[{"visible": True}, {"visible": False}])),
        {Code.KEYPOINT_PLACE: 1},
    ),
    "keypoints: half a place": (
        replaced("annotations", 2, points(keypoints=[{"x": 1, "visible": False}, {"visible": False}])),
        {Code.KEYPOINT_PLACE: 1},
    ),
    "keypoints: a prediction without skeleton": (
        appended("predictions", {**points(), "confidence": 1, "geometry": {**points()["geometry"], "skeleton": None}}),
        {Code.KEYPOINT_SKELETON: 1},
    ),
    "two segmentations of an item": (
        appended("annotations", mask(annotation_id="another")),
        {Code.SEVERAL_SEGMENTATIONS: 1},
    ),
    "a segment without an index": (
        replaced("annotations", 4, mask(annotations=[*mask()["annotations"], {"label": "x", "index": 256}])),
        {Code.SEGMENT_INDEX: 1, Code.ZERO_AREA: 1},  # and so it has no pixels
    ),
    "an index twice": (
        replaced("annotations", 4, mask(annotations=[*mask()["annotations"], {"label": "x", "index": 2}])),
        {Code.SEGMENT_INDEX: 1},
    ),
    "a mask value without a segment": (
        replaced("annotations", 4, mask(annotations=[{"label": "road", "index": 1}])),
        {Code.MASK_VALUE: 1},
    ),
    "a mask that is not here": (
        replaced("annotations", 4, mask(mask_url="masks/gone.png")),
        {Code.MASK_MISSING: 1},
    ),
    "a mask by another name": (
        replaced("annotations", 4, mask(mask_url="masks/a.gif")),
        {Code.MASK_NOT_PNG: 1, Code.MASK_MISSING: 1},
    ),
    "two categories of a taxonomy": (appended("annotations", tag(label="rainy")), {Code.SEVERAL_CATEGORIES: 1}),
    "a label that the taxonomy has not": (replaced("annotations", 3, tag(label="snowy")), {Code.TAXONOMY_LABEL: 1}),
    "a taxonomy that is not listed": (
        replaced("annotations", 3, tag(taxonomy_name="sky")),
        {Code.TAXONOMY_UNLISTED: 1},
    ),
    "too many strings": (
        changed(
            lambda rows: rows.update(items=[item(f"{n}", metadata={"u": str(n)}) for n in range(251)] + rows["items"])
        ),
        {Code.MANY_STRINGS: 1},
    ),
    "a reference_id twice": (
        appended("items", item("a", image_url="s3://b/other.jpg")),
        {Code.DUPLICATE_REFERENCE_ID: 1},
    ),
    "an item without a reference_id": (appended("items", {"image_url": "s3://b/x.jpg"}), {Code.NO_REFERENCE_ID: 1}),
    "a payload without a reference_id": (appended("annotations", box(reference_id=None)), {Code.NO_REFERENCE_ID: 1}),
    "an item that is not here": (appended("annotations", box(reference_id="z")), {Code.UNKNOWN_ITEM: 1}),
    "local and remote items": (appended("items", item("c", image_url="c.jpg")), {Code.MIXED_LOCATIONS: 1}),
    "an item without a location": (
        appended("items", {"reference_id": "c", "image_url": "", "url": None}),
        {Code.NO_LOCATION: 1},
    ),
    "a single point cloud": (
        appended("items", {"reference_id": "c", "pointcloud_url": "s3://b/c.json"}),
        {Code.NO_LOCATION: 1},
    ),
    "an unknown type": (appended("annotations", box(type="circle")), {Code.BAD_PAYLOAD: 1}),
    "geometry that is none": (
        appended("annotations", box(annotation_id="9", geometry={"x": 1})),
        {Code.BAD_PAYLOAD: 1},
    ),
    "a number that is none": (
        appended("annotations", json.dumps(box(annotation_id="9")).replace('"x": 1', '"x": NaN')),
        {Code.BAD_PAYLOAD: 1},
    ),
    "several labels in one": (
        appended("annotations", {**tag(reference_id="b"), "type": "multicategory", "labels": ["sunny"], "label": None}),
        {Code.MULTICATEGORY: 1},
    ),
    "no label": (appended("annotations", box(annotation_id="9", label="")), {Code.NO_LABEL: 1}),
    "items and scenes": (
        changed(lambda rows: rows.update(items=[item("a")]), scenes),
        {Code.ITEMS_AND_SCENES: 1},
    ),
    "a cuboid on an image": (replaced("annotations", 0, cuboid(reference_id="f0"), scenes), {Code.CUBOID_ON_IMAGE: 1}),
    "a scene twice": (
        changed(lambda rows: rows["scenes"].append({"reference_id": "s", "video_url": "s3://b/s.mp4"}), scenes),
        {Code.DUPLICATE_REFERENCE_ID: 1},
    ),
    "a scene of nothing": (appended("scenes", {"reference_id": "e", "frames": []}, base=scenes), {Code.SCENE_EMPTY: 1}),
    "a frame without a point cloud": (
        appended(
            "scenes", {"reference_id": "e", "frames": [{"lidar": cloud("e0")}, {"front": frame("e1")}]}, base=scenes
        ),
        {Code.SCENE_POINTCLOUD: 1},
    ),
    "two point clouds in a frame": (
        appended("scenes", {"reference_id": "e", "frames": [{"lidar": cloud("e0"), "roof": cloud("e1")}]}, base=scenes),
        {Code.SCENE_POINTCLOUD: 2},  # and they are of several sensors
    ),
    "an empty frame": (
        appended("scenes", {"reference_id": "e", "frames": [{"lidar": cloud("e0")}, {}]}, base=scenes),
        {Code.SCENE_FRAMES: 1},
    ),
    "frames with a gap": (
        appended(
            "scenes",
            {"reference_id": "e", "frames": {"0": {"lidar": cloud("e0")}, "2": {"lidar": cloud("e1")}}},
            base=scenes,
        ),
        {Code.SCENE_FRAMES: 1},
    ),
    "a video without a rate": (
        appended("scenes", {"reference_id": "e", "frames": [frame("e0")]}, base=scenes),
        {Code.SCENE_VIDEO: 1},
    ),
    "a video with frames and a location": (
        appended(
            "scenes",
            {"reference_id": "e", "frame_rate": 1, "video_url": "s3://b/e.mp4", "frames": [frame("e0")]},
            base=scenes,
        ),
        {Code.SCENE_VIDEO: 1},
    ),
    "a video with a location and a rate": (
        appended("scenes", {"reference_id": "e", "frame_rate": 1, "video_url": "s3://b/e.mp4"}, base=scenes),
        {Code.SCENE_VIDEO: 1},
    ),
    "a video that is too long": (
        appended(
            "scenes",
            {"reference_id": "e", "frame_rate": 1, "frames": [frame(f"e{n}") for n in range(3001)]},
            base=scenes,
        ),
        {Code.VIDEO_TOO_LONG: 1},
    ),
    "a local file in a scene": (
        appended("scenes", {"reference_id": "e", "frames": [{"lidar": cloud("e0", url="e0.json")}]}, base=scenes),
        {Code.LOCAL_PATH: 1},
    ),
    "a local video": (
        appended("scenes", {"reference_id": "e", "video_url": "e.mp4"}, base=scenes),
        {Code.LOCAL_PATH: 1},
    ),
}


@pytest.mark.parametrize(("rows", "expected"), BREAKS.values(), ids=BREAKS)
def test_each_rule_is_told_and_no_other(tmp_path: Path, rows: Folder, expected: dict[Code, int]) -> None:
    assert found(save(tmp_path / "n", rows)) == {str(code): count for code, count in expected.items()}


def test_places_are_file_line_and_path(tmp_path: Path) -> None:
    rows, _ = BREAKS["keypoints: an edge to nowhere"]
    problems = looks.check(save(tmp_path / "n", rows)).problems
    (problem,) = [one for one in problems.sorted() if one.level is Level.ERROR]
    assert str(problem.examples[0]) == f"{tmp_path / 'n' / 'annotations.jsonl'}:3 $.geometry.skeleton"


# --- masks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (Image.fromarray(pixels(10, 9)), Code.MASK_SIZE),
        (Image.fromarray(pixels()).convert("RGB"), Code.MASK_NOT_PNG),
        (Image.fromarray(pixels().astype(np.uint16)), Code.MASK_NOT_PNG),
        (b"GIF89a" + bytes(60), Code.MASK_NOT_PNG),
        (b"\x89PNG\r\n\x1a\n", Code.MASK_NOT_PNG),
    ],
    ids=["size", "colours", "16 bits", "gif", "cut short"],
)
def test_mask_pictures(tmp_path: Path, picture: Any, code: Code) -> None:
    assert found(save(tmp_path / "n", clean(), picture)) == {str(code): 1}


def test_the_size_of_an_item_may_be_in_its_metadata(tmp_path: Path) -> None:
    small = item("a", width=None, height=None, metadata={"width": 10, "height": 7})
    assert found(save(tmp_path / "n", replaced("items", 0, small))) == {str(Code.MASK_SIZE): 1}


def test_a_remote_mask_is_not_looked_for(tmp_path: Path) -> None:
    folder = save(tmp_path / "n", replaced("annotations", 4, mask(mask_url="s3://b/m/z.png")))
    assert found(folder) == {}
    assert found(folder, Level.NOTE)[str(Code.MASK_REMOTE)] == 1


def test_a_file_that_is_none_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = save(tmp_path / "n", replaced("predictions", 0, box(confidence=2)))
    (folder / "annotations.jsonl").write_text("{\n")
    (folder / "items.jsonl").write_bytes(b"\xff\xfe{}")
    looked = looks.check(folder)
    assert looked.error is not None
    assert looked.problems.count(Code.UNREADABLE) == 2
    assert looked.problems.count(Code.CONFIDENCE_RANGE) == 1


# --- how the upload goes -------------------------------------------------------------------------------


def test_local_masks_are_refused_asynchronously_only(tmp_path: Path) -> None:
    folder = save(tmp_path / "n", clean())
    assert found(folder) == {}
    assert found(folder, Level.NOTE)[str(Code.LOCAL_FILE)] == 1
    assert found(folder, asynchronous=True) == {str(Code.LOCAL_PATH): 1}


def test_a_part_over_the_limit(tmp_path: Path) -> None:
    folder = save(tmp_path / "n", clean())
    problems = Problems()
    limit = (folder / "annotations.jsonl").stat().st_size - 1
    examine(folder, ReadOptions(), Setting(part_bytes=limit), problems)
    assert problems.count(Code.PART_TOO_LARGE) == 1
    assert Setting().part_bytes == wire.PART_BYTES == nucleus.constants.MAX_PAYLOAD_SIZE
    line = max(len(line) for line in (folder / "annotations.jsonl").read_bytes().splitlines())
    problems = Problems()
    examine(folder, ReadOptions(), Setting(part_bytes=line - 1, placed=False), problems)
    assert problems.count(Code.PART_TOO_LARGE) == 1


def test_numbered_parts_are_one_set(tmp_path: Path) -> None:
    rows = clean()
    rows["annotations-00001"] = [rows["annotations"][0]]
    assert found(save(tmp_path / "n", rows)) == {str(Code.DUPLICATE_ANNOTATION_ID): 1}


def test_nothing_is_hidden_behind_the_first(tmp_path: Path) -> None:
    """All that the single folders break, broken in one."""
    rows = clean()
    rows["annotations"] = [
        '{"type": "box", ',
        box(type="?"),
        *rows["annotations"],
        box(),
        "[1]",
        points(names=["a"]),
        tag(label="x"),
    ]
    rows["predictions"] = [box(confidence=7), box(annotation_id="2", confidence=1, class_pdf={"car": 0.2})]
    assert found(save(tmp_path / "n", rows)) == {
        str(Code.BAD_PAYLOAD): 3,
        str(Code.DUPLICATE_ANNOTATION_ID): 2,  # the keypoints have an id twice as well
        str(Code.KEYPOINT_NAMES): 1,
        str(Code.SEVERAL_CATEGORIES): 1,
        str(Code.TAXONOMY_LABEL): 1,
        str(Code.CONFIDENCE_RANGE): 1,
        str(Code.CLASS_PDF_SUM): 1,
    }


# --- the forms that data come in -----------------------------------------------------------------------


def camel(row: dict[str, Any]) -> dict[str, Any]:
    names = {"reference_id": "referenceId", "annotation_id": "annotationId", "class_pdf": "classPdf"}
    return {names.get(key, key): value for key, value in row.items()}


@pytest.mark.parametrize("form", ["array", "body", "camel", "export", "lines"])
def test_rules_hold_in_every_form(tmp_path: Path, form: str) -> None:
    row = box(confidence=1.5)
    path = tmp_path / "predictions.json"
    if form == "array":
        path.write_text(json.dumps([row, row]))
    elif form == "body":
        path.write_text(json.dumps({"update": False, "predictions": [row, row]}))
    elif form == "camel":
        path.write_text(json.dumps([camel(row), camel(row)]))
    elif form == "export":
        entry = {key: value for key, value in row.items() if key != "reference_id"}
        path.write_text(json.dumps([{"item": item("a"), "predictions": {"box": [entry, entry]}}]))
    else:
        path = path.with_suffix(".jsonl")
        path.write_text(f"{json.dumps(row)}\n{json.dumps(row)}\n")
    counts = found(path)
    assert counts.pop(str(Code.CONFIDENCE_RANGE)) == 2
    assert counts.pop(str(Code.DUPLICATE_ANNOTATION_ID)) == 1
    assert counts == {}


def test_keys_that_the_sdk_leaves_out_are_noted(tmp_path: Path) -> None:
    rows = replaced("annotations", 0, box(colour="red", geometry={**box()["geometry"], "angle": 3}))
    noted = looks.check(save(tmp_path / "n", rows)).problems
    assert noted.count(Code.UNKNOWN_KEY, "'colour'") == noted.count(Code.UNKNOWN_KEY, "'geometry.angle'") == 1


# --- the SDK says the same -----------------------------------------------------------------------------


def load(row: Any, *, predicted: bool = False) -> Any:
    row = json.loads(row) if isinstance(row, str) else row
    return (nucleus.prediction.from_json if predicted else nucleus.annotation.Annotation.from_json)(row)


def loaded(rows: Folder) -> None:
    for row in rows.get("annotations", ()):
        load(row)
    for row in rows.get("predictions", ()):
        load(row, predicted=True)


@pytest.mark.parametrize(
    "name",
    [
        "keypoints: too few names",
        "keypoints: a name twice",
        "keypoints: an edge to nowhere",
        "keypoints: an edge of three",
        "keypoints: visible nowhere",
    ],
)
def test_the_sdk_refuses_to_load_it_too(name: str) -> None:
    loaded(clean())
    with pytest.raises((ValueError, KeyError)):
        loaded(BREAKS[name][0])


def test_the_sdk_wants_the_skeleton_of_a_prediction() -> None:
    row = {**points(), "confidence": 1}
    del row["geometry"]["skeleton"]
    load(row)
    with pytest.raises(KeyError):
        load(row, predicted=True)


@pytest.mark.parametrize(("name", "predicted"), [("ids of two annotations", False), ("ids of three predictions", True)])
def test_the_sdk_refuses_duplicate_ids_too(name: str, predicted: bool) -> None:
    client: Any = None
    uploader = (
        PredictionUploader(client, dataset_id="d", model_id="m") if predicted else AnnotationUploader("d", client)
    )
    stem = "predictions" if predicted else "annotations"
    uploader.check_for_duplicate_ids([load(row, predicted=predicted) for row in clean()[stem]])
    with pytest.raises(DuplicateIDError):
        uploader.check_for_duplicate_ids([load(row, predicted=predicted) for row in BREAKS[name][0][stem]])


@pytest.mark.parametrize(
    ("rows", "duplicate"),
    [
        ([FLAT, FLAT], True),  # the SDK makes the same id of the same box
        ([FLAT, {**FLAT, "geometry": {"x": 5, "y": 5, "width": 1, "height": 1}}], False),
        ([{**points(), "annotation_id": None}] * 2, True),
        (
            [
                box(type="line", geometry={"vertices": [{"x": n, "y": 1}, {"x": 3, "y": n}]}, annotation_id=None)
                for n in (1, 2)
            ],
            True,
        ),
    ],
    ids=["one box", "two boxes", "keypoints", "lines"],
)
def test_ids_left_to_the_sdk(tmp_path: Path, rows: Rows, duplicate: bool) -> None:
    client: Any = None
    folder: Folder = {"items": [item("a")], "annotations": rows}
    counts = found(save(tmp_path / "n", folder))
    assert (str(Code.DUPLICATE_ANNOTATION_ID) in counts) is duplicate
    annotations = [load(row) for row in rows]
    if duplicate:
        with pytest.raises(DuplicateIDError):
            AnnotationUploader("d", client).check_for_duplicate_ids(annotations)
    else:
        AnnotationUploader("d", client).check_for_duplicate_ids(annotations)


def test_the_sdk_refuses_local_masks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [load(row) for row in clean()["annotations"]]
    with pytest.raises(ValueError, match="local path"):
        check_all_mask_paths_remote(rows)
    check_all_mask_paths_remote([load(mask(mask_url="s3://b/a.png"))])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        load(mask()).has_local_files_to_upload()
    save(tmp_path, clean())
    assert load(mask()).has_local_files_to_upload()
    os.replace("masks/a.png", "masks/a.gif")  # noqa: PTH105
    client: Any = None
    request = AnnotationUploader("d", client).get_form_data_and_file_pointers_fn(
        [load(mask(mask_url="masks/a.gif"))], False
    )
    refused = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the file open
        try:
            request()
        except ValueError as error:
            refused = str(error)
        gc.collect()
    assert refused.startswith("Only png files")


def test_the_sdk_refuses_reference_ids_and_locations_too() -> None:
    load_item = nucleus.DatasetItem.from_json
    check_for_duplicate_reference_ids([load_item(row) for row in clean()["items"]])
    with pytest.raises(ValueError, match="Duplicate reference IDs"):
        check_for_duplicate_reference_ids([load_item(row) for row in BREAKS["a reference_id twice"][0]["items"]])
    for name in ("an item without a reference_id", "an item without a location"):
        with pytest.raises(AssertionError):
            load_item(BREAKS[name][0]["items"][-1])
    with pytest.raises(AssertionError, match="not in a LidarScene"):
        load_item(BREAKS["a single point cloud"][0]["items"][-1]).to_payload()


@pytest.mark.parametrize(
    "name",
    [
        "a scene of nothing",
        "a frame without a point cloud",
        "two point clouds in a frame",
        "an empty frame",
        "a video without a rate",
        "a video with frames and a location",
        "a video with a location and a rate",
        "a local file in a scene",
        "a local video",
    ],
)
def test_the_sdk_refuses_the_scene_too(name: str) -> None:
    def upload(row: Any) -> None:
        row = copy.deepcopy(row)
        frames = row.get("frames") or [{}]
        video = "video_url" in row or "reference_id" in frames[0]
        scene = (nucleus.VideoScene if video else nucleus.LidarScene).from_json(row)
        scene.validate()
        check_all_scene_paths_remote([scene])

    for row in scenes()["scenes"]:
        upload(row)
    with pytest.raises((AssertionError, ValueError, TypeError)):
        upload(BREAKS[name][0]["scenes"][-1])


def test_the_sdk_refuses_gaps_in_frames_too() -> None:
    frames = {n: nucleus.Frame(lidar=nucleus.DatasetItem.from_json(cloud(f"e{n}"))) for n in (0, 2)}
    scene = nucleus.LidarScene("e", frames=[frames[0]])
    scene.add_frame(frames[2], 2)
    with pytest.raises(AssertionError, match="continuous"):
        scene.validate_frames_dict()


def test_the_sdk_refuses_large_uploads_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nucleus.utils, "MAX_PAYLOAD_SIZE", 100)
    with (tmp_path / "x").open("w") as file, pytest.raises(ValueError, match="exceed maximum payload size"):
        serialize_and_write([load(box())], file)


def test_the_sdk_refuses_nan_too() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        load(BREAKS["a number that is none"][0]["annotations"][-1]).to_json()


# --- other sources as an upload ------------------------------------------------------------------------


def coco(path: Path, images: Rows, annotations: Rows) -> Path:
    categories = [{"id": 1, "name": "car"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def coco_box(number: int, image: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": 1, "bbox": [number, 1, 4, 3], **more}


def test_another_format_as_an_upload(tmp_path: Path) -> None:
    images = [
        {"id": n, "file_name": "same.jpg" if n < 3 else f"{n}.jpg", "width": 20, "height": 20} for n in range(1, 5)
    ]
    rows = [
        coco_box(1),
        coco_box(2, 3, score=1.5),
        coco_box(3, 3, attributes={"k": 1}),
        coco_box(4, 4, attributes={"k": "x"}),
    ]
    path = coco(tmp_path / "i.json", images, rows)
    problems = looks.check(path, target="nucleus", image_root="s3://b/images").problems
    assert problems.count(Code.DUPLICATE_REFERENCE_ID) == 1
    assert problems.count(Code.CONFIDENCE_RANGE) == 1
    assert problems.count("metadata-as-string") == 1  # the writer sees to it, and says so
    assert problems.count("out-of-range") == 0  # of the reader, and the same score
    assert problems.count(Code.LOCAL_FILE) == 0
    assert not any(where.file for problem in problems.sorted() for where in problem.examples)
    assert looks.check(path).problems.count(Code.DUPLICATE_REFERENCE_ID) == 0


@pytest.mark.parametrize(
    "source",
    [
        "examples/park/annotations/instances.json",
        "examples/street",
        "fixtures/cvat/images",
        "fixtures/cvat/video",
        "fixtures/ir/everything/labels.ndjson",
        "fixtures/kitti/tracking",
        "fixtures/yolo/obb",
    ],
)
def test_skimming_our_own_rows_tells_what_reading_them_tells(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Geometry of rows that were just written is not decoded, nor are masks: no rule asks for it."""
    skimmed = looks.check(ROOT / source, target="nucleus").problems.to_list()
    monkeypatch.setattr(wire, "SkimmedRow", wire.AnyRow)
    monkeypatch.setattr(examiner, "MaskCheck", lambda *given, ours: MaskCheck(*given, ours=False))
    assert skimmed == looks.check(ROOT / source, target="nucleus").problems.to_list()


def test_what_leads_out_of_the_image_root_hides_nothing(tmp_path: Path) -> None:
    names = ["../../x.jpg", "b.jpg", "../y.jpg", "d.jpg"]
    images = [{"id": n, "file_name": name, "width": 20, "height": 20} for n, name in enumerate(names, 1)]
    path = coco(tmp_path / "i.json", images, [coco_box(1, 2), coco_box(2, 4, score=3)])
    problems = looks.check(path, target="nucleus", image_root="s3://b").problems
    assert problems.count(Code.NOT_WRITABLE) == 2
    assert problems.count(Code.CONFIDENCE_RANGE) == 1


def test_every_nucleus_rule_is_tried() -> None:
    """A rule that no folder here breaks would be one that nobody saw working."""
    tried = {code for _, codes in BREAKS.values() for code in codes}
    tried |= {
        Code.MASK_SIZE,
        Code.MASK_NOT_PNG,
        Code.LOCAL_FILE,
        Code.PART_TOO_LARGE,
        Code.UNKNOWN_KEY,
        Code.MASK_REMOTE,
        Code.NOT_WRITABLE,
    }
    assert {code for code, rule in RULES.items() if rule.family == "Nucleus"} <= tried


# --- anything at all -----------------------------------------------------------------------------------

ODD = [None, True, -1, 0, 3.5, 1e400, "", "x", [], [None], ["a", "a"], {}, {"x": 1}, [[0]], [[0, 9]], [{}], 10**30]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        found += [place for key, inner in value.items() for place in places(inner, (*path, key))]
    elif isinstance(value, list):
        found += [place for number, inner in enumerate(value) for place in places(inner, (*path, number))]
    return found


def mutants(row: Any) -> list[Any]:
    """The row with each value in it replaced by each odd one, and with each key left out."""
    made = []
    for path in places(row):
        for odd in (*ODD, ...):
            mutant = copy.deepcopy(row)
            holder = mutant
            for step in path[:-1]:
                holder = holder[step]
            if odd is ...:
                del holder[path[-1]]
            else:
                holder[path[-1]] = odd
            made.append(mutant)
    return made


@pytest.mark.parametrize(
    ("row", "predicted"),
    [
        (box(metadata={"a": 1}, embedding_vector=[1.5]), False),
        (points(), False),
        ({**points(), "confidence": 0.5, "class_pdf": {"car": 1}}, True),
        (mask(), False),
        (tag(), False),
        (cuboid(), False),
        (box(type="polygon", geometry={"vertices": [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 1}]}), False),
    ],
    ids=["box", "keypoints", "keypoints prediction", "mask", "tag", "cuboid", "polygon"],
)
def test_what_the_sdk_cannot_load_is_an_error(tmp_path: Path, row: Any, predicted: bool) -> None:
    """Every payload that from_json refuses is told, and nothing at all makes the check itself fail."""
    stem = "predictions" if predicted else "annotations"
    checked = refused = 0
    for mutant in mutants(row):
        text = json.dumps(mutant).replace("Infinity", "1e400")
        (tmp_path / f"{stem}.jsonl").write_text(text + "\n")
        problems = Problems()
        examine(tmp_path, ReadOptions(), Setting(), problems)
        checked += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                load(mutant, predicted=predicted)
        except Exception:
            refused += 1
            assert problems.worst is Level.ERROR, mutant
    assert refused >= 20
    assert refused < checked


@pytest.mark.parametrize("row", [*scenes()["scenes"], item()], ids=["lidar", "video", "item"])
def test_any_scene_or_item_can_be_checked(tmp_path: Path, row: Any) -> None:
    for mutant in mutants(row):
        path = tmp_path / f"{'scenes' if 'frames' in row else 'items'}.jsonl"
        path.write_text(json.dumps(mutant).replace("Infinity", "1e400") + "\n")
        problems = Problems()
        examine(tmp_path, ReadOptions(), Setting(), problems)
        try:
            if "frames" in row:
                kind = nucleus.VideoScene if "frame_rate" in row else nucleus.LidarScene
                scene = kind.from_json(copy.deepcopy(mutant))
                scene.validate()
            else:
                nucleus.DatasetItem.from_json(copy.deepcopy(mutant))
        except Exception:
            assert problems.worst is Level.ERROR, mutant

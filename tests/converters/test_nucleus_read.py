"""Nucleus data read: every form it comes in, what is wrong with it, and what the SDK's payloads become."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nucleus_convert import (
    Annotation,
    Box,
    ConvertError,
    Cuboid,
    Header,
    Item,
    Keypoints,
    Label,
    LabelSet,
    Line,
    Mask,
    Polygon,
    Record,
    Report,
    SceneRef,
    Tag,
    from_records,
)
from nucleus_convert.converters import masks, nucleus, png
from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError
from nucleus_convert.converters.protocol import Target

sdk = pytest.importorskip("nucleus", reason="the SDK (scale-nucleus) is not installed")

SAMPLES = Path("/work/shared/samples/nucleus/nucleus-python-client")
samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the samples are not at {SAMPLES}")

BOX = {"x": 1, "y": 2.5, "width": 3, "height": 4}
ROW: dict[str, Any] = {
    "label": "car",
    "type": "box",
    "geometry": BOX,
    "reference_id": "a",
    "annotation_id": "a1",
    "metadata": {"color": "red", "n": 1},
}
ITEM: dict[str, Any] = {
    "image_url": "https://x/a.jpg",
    "reference_id": "a",
    "metadata": {"width": 10, "height": 8},
}
VERTICES = {"vertices": [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 0.5}]}


def read(source: Path, report: Report | None = None, **options: Any) -> LabelSet:
    report = Report() if report is None else report
    return nucleus.read(source, options=nucleus.ReadOptions(**options), report=report)


def records(source: Path, report: Report | None = None, **options: Any) -> list[Record]:
    report = Report() if report is None else report
    return list(read(source, report, **options).records(report))


def write(labels: LabelSet, folder: Path) -> list[Any]:
    report = Report()
    folder.mkdir()
    nucleus.write(labels, Target(folder, folder), options=nucleus.WriteOptions(), report=report)
    report.ledger  # noqa: B018
    return [json.loads(line) for stem in ("annotations", "predictions") for line in lines_of(folder, stem)]


def lines_of(folder: Path, stem: str) -> list[bytes]:
    path = folder / f"{stem}.jsonl"
    return path.read_bytes().splitlines() if path.exists() else []


def text(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows to a file: one a line for .jsonl, else as one value."""

    def save(name: str, *rows: Any, indent: int | None = None) -> Path:
        path = tmp_path / name
        if name.endswith((".jsonl", ".ndjson")):
            path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
        else:
            path.write_text(rows[0] if isinstance(rows[0], str) else json.dumps(rows[0], indent=indent))
        return path

    return save


def bare(value: Any) -> Any:
    """Without nulls and empty metadata, and without the ids the SDK makes up for boxes."""
    if isinstance(value, dict):
        stripped = {name: bare(entry) for name, entry in value.items()}
        return {
            name: e for name, e in stripped.items() if e is not None and not (name == "metadata" and e == {})
        }
    return [bare(entry) for entry in value] if isinstance(value, list) else value


# ---------------------------------------------------------------------- forms


def forms() -> dict[str, tuple[str, tuple[Any, ...]]]:
    camel = {
        "label": "car",
        "type": "box",
        "geometry": BOX,
        "referenceId": "a",
        "annotationId": "a1",
        "metadata": ROW["metadata"],
        "trackReferenceId": None,
    }
    unnamed = {key: value for key, value in ROW.items() if key not in ("reference_id", "type")}
    return {
        "lines": ("x.jsonl", (ROW,)),
        "lines, no newline at the end": ("x.jsonl", (json.dumps(ROW),)),
        "lines, blank ones and a mark": ("x.jsonl", ("\ufeff\n", "\n", ROW, "  \n")),
        "array": ("x.json", ([ROW],)),
        "array of lines": ("x.jsonl", (json.dumps([ROW], indent=1),)),
        "single": ("x.json", (ROW,)),
        "body": ("x.json", ({"update": False, "annotations": [ROW], "segmentations": []},)),
        "body, segmentations first": ("x.json", ({"segmentations": [], "annotations": [ROW]},)),
        "camel case": ("x.jsonl", (camel,)),
        "ref_id": ("x.json", ([{**{k: v for k, v in ROW.items() if k != "reference_id"}, "ref_id": "a"}],)),
        "exported": ("x.jsonl", ({"item": ITEM, "annotations": {"box": [unnamed], "polygon": []}},)),
        "exported array": (
            "x.json",
            ([{"item": ITEM, "annotations": {"box": [ROW], "segmentation": None}}],),
        ),
        "exported, single": ("x.json", ({"item": ITEM, "annotations": {"box": unnamed}},)),
        "exported, older": ("x.json", ([{**ITEM, "box": [unnamed], "line": []}],)),
        "exported rows": ("x.json", ({"exportedRows": [{"item": ITEM, "annotations": {"box": [ROW]}}]},)),
    }


@pytest.mark.parametrize("form", forms())
@pytest.mark.parametrize("indent", [None, 2])
def test_every_form_says_the_same(save: Callable[..., Path], form: str, indent: int | None) -> None:
    name, rows = forms()[form]
    source = save(name, *rows, indent=indent)
    assert nucleus.sniff(source) is None
    (record,) = records(source)
    assert record.item.id == "a"
    assert record.annotations == (
        Annotation(label="car", shapes=(Box(1, 2.5, 3, 4),), id="a1", attributes={"color": "red", "n": 1}),
    )
    if "exported" in form:
        assert (record.item.path, record.item.width) == ("https://x/a.jpg", 10)


def test_exported_predictions(save: Callable[..., Path]) -> None:
    source = save("x.json", [{"item": ITEM, "predictions": {"box": [ROW]}}])
    (record,) = records(source)
    assert record.annotations[0].predicted


def test_predictions_by_name_of_file_by_content_and_by_option(save: Callable[..., Path]) -> None:
    assert records(save("predictions-00000.jsonl", ROW))[0].annotations[0].predicted
    source = save("x.jsonl", ROW, {**ROW, "annotation_id": "b", "classPdf": {"car": 1}, "confidence": 0})
    plain, guess = records(source)[0].annotations
    assert (plain.predicted, guess.predicted, guess.confidence, guess.class_pdf) == (
        False,
        True,
        0,
        {"car": 1},
    )
    assert all(annotation.predicted for annotation in records(source, predictions=True)[0].annotations)


@pytest.mark.parametrize(
    "key",
    [
        "image_url",
        "original_image_url",
        "processed_url",
        "url",
        "imageUrl",
        "originalImageUrl",
        "processedUrl",
    ],
)
def test_locations_of_images(save: Callable[..., Path], key: str) -> None:
    (record,) = records(save("items.jsonl", {key: "https://x/a.jpg", "reference_id": "r"}))
    assert record.item == Item(id="r", path="https://x/a.jpg", extras={"nucleus": {"_reference_id": "r"}})


def test_the_size_of_an_item_beside_its_metadata_goes_back_there(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    row = {
        "image_url": "a",
        "reference_id": "a",
        "width": 5,
        "height": 4.0,
        "phash": "01",
        "strange": {"x": 1},
    }
    labels = read(save("items.jsonl", row))
    (record,) = labels
    assert (record.item.width, record.item.height) == (5, 4)
    write(labels, tmp_path / "out")
    assert json.loads(lines_of(tmp_path / "out", "items")[0]) == {"metadata": {}, **row}


def test_foreign_metadata_becomes_attributes_and_goes_back(save: Callable[..., Path], tmp_path: Path) -> None:
    metadata = {
        "color": "red",
        "n": 1.5,
        "sure": True,
        "list": [1, {"x": None}],
        "none": None,
        "iscrowd": "no",
        "area": 5,
        "category_id": 7,
        "lat": 47.1,
        "lon": 999,
        "difficult": 1,
        "occluded": 0.5,
    }
    labels = read(save("annotations.jsonl", {**ROW, "metadata": metadata}, {**ROW, "annotation_id": "b"}))
    annotation = next(iter(labels)).annotations[0]
    assert (annotation.difficult, annotation.occluded, annotation.crowd) == (True, 0.5, None)
    assert annotation.attributes["list"] == [1, {"x": None}]
    assert labels.header.labels == (Label(name="car", id=7),)
    (row, _) = write(labels, tmp_path / "out")
    assert row["metadata"] == metadata


def test_unknown_keys_come_back(save: Callable[..., Path], tmp_path: Path) -> None:
    row = {
        **ROW,
        "task_id": "t",
        "dataset_item_id": "di_1",
        "strange": [1],
        "geometry": {**BOX, "angle": 5},
    }
    labels = read(save("annotations.jsonl", row))
    assert dict(next(iter(labels)).annotations[0].extras) == {
        "nucleus": {"task_id": "t", "dataset_item_id": "di_1", "strange": [1], "geometry": {"angle": 5}}
    }
    assert write(labels, tmp_path / "out") == [row]


def test_labels_of_the_header(save: Callable[..., Path]) -> None:
    keypoints = {"keypoints": [{"x": 1, "y": 1, "visible": True}], "names": ["nose"], "skeleton": [[0, 0]]}
    source = save(
        "annotations.jsonl",
        {**ROW, "label": "bus", "metadata": {"category_id": 5, "supercategory": "vehicle"}},
        {**ROW, "label": "car", "metadata": {"category_id": 5}},
        {**ROW, "label": "bus", "metadata": {"category_id": 5, "supercategory": "other"}},
        {**ROW, "label": "person", "type": "keypoints", "geometry": keypoints},
        {"labels": ["wet", "cold"], "type": "multicategory", "reference_id": "a"},
        {"type": "mask", "mask_url": "s3://x/y.png", "reference_id": "a", "annotations": [{"label": "sky"}]},
    )  # fmt: skip
    assert read(source).header.labels == (
        Label(name="bus", id=5),
        Label(name="car"),
        Label(name="person", keypoints=("nose",), skeleton=((0, 0),)),
        Label(name="wet"),
        Label(name="cold"),
        Label(name="sky"),
    )


def test_records_follow_the_items_then_the_annotations(save: Callable[..., Path], tmp_path: Path) -> None:
    save("items.jsonl", {**ITEM, "reference_id": "c"}, {**ITEM, "reference_id": "a"})
    save("annotations.jsonl", *({**ROW, "reference_id": name} for name in ("z", "a", "b", "z", "c")))
    report = Report()
    assert [record.item.id for record in records(tmp_path, report)] == ["c", "a", "z", "b"]
    assert report.count("assumed") == 2


def test_any_stretch_can_be_read_and_by_another_process(save: Callable[..., Path]) -> None:
    source = save("annotations.jsonl", *({**ROW, "reference_id": f"r{i % 50}"} for i in range(200)))
    labels = read(source)
    whole = list(labels)
    assert labels.size == 50
    assert len(whole[7].annotations) == 4
    copied = pickle.loads(pickle.dumps(labels))
    assert list(copied.records(Report(), 10, 20)) == whole[10:20]
    assert list(labels.records(Report(), 45, None)) == whole[45:]


def test_other_files_of_a_folder_are_named(save: Callable[..., Path], tmp_path: Path) -> None:
    save("annotations.jsonl", ROW)
    save("package.json", {"name": "x"})
    save("report.json", {"tool": 1})
    save("broken.json", "{")
    report = Report()
    assert len(records(tmp_path, report)) == 1
    assert {what for code, _, what in report.findings if code == "ignored-file"} == {
        "package.json",
        "broken.json",
    }


# ---------------------------------------------------------------------- what the SDK makes


def sample_files() -> list[str]:
    if not SAMPLES.is_dir():
        return []
    return sorted(path.name for path in SAMPLES.iterdir() if path.name.startswith(("payload_", "upload_")))


@samples
@pytest.mark.parametrize("name", sample_files())
def test_the_sdks_own_payloads_come_back_equal(name: str, tmp_path: Path) -> None:
    source = SAMPLES / name
    if "REPEAT_REF_IDS" in name:
        with pytest.raises(SchemaError, match="twice"):
            records(source)
        return
    given = (
        [json.loads(line) for line in source.read_bytes().splitlines()]
        if name.endswith("ndjson")
        else json.loads(source.read_bytes())
    )
    report = Report()
    labels = read(source, report)
    out = tmp_path / "out"
    rows = write(labels, out)
    if "SCENES" in name:
        rows = [json.loads(line) for line in lines_of(out, "scenes")]
        for row in rows:
            for frame in row.get("frames", ()):
                for entry in frame.values() if "url" not in frame else (frame,):
                    entry.pop("image_url", None)

    def by_id(row: Any) -> tuple[str, str, str]:
        return str(row["reference_id"]), str(row.get("annotation_id")), str(row.get("label"))

    assert sorted((bare(row) for row in rows), key=by_id) == sorted((bare(row) for row in given), key=by_id)


@samples
def test_the_sdks_masks_are_read_where_the_picture_is_here(tmp_path: Path) -> None:
    source = SAMPLES / "payload_TEST_SEGMENTATION_ANNOTATIONS.json"
    report = Report()
    labels = read(source, report, mask_folder=SAMPLES / "tests" / "testdata")
    found = list(labels.records(report))
    shapes = [shape for record in found for annotation in record.annotations for shape in annotation.shapes]
    assert len(shapes) == 10
    assert all(type(shape) is Mask for shape in shapes)
    pixels = png.decode((SAMPLES / "tests" / "testdata" / "000000000285.png").read_bytes())
    bear = found[0].annotations[0].shape(Mask)
    assert found[0].annotations[0].label == "bear"
    assert masks.area(masks.decode_counts(bear.counts)) == int((pixels == 2).sum())
    rows = write(labels, tmp_path / "out")
    assert [row["annotation_id"] for row in rows] == [
        row["annotation_id"] for row in json.loads(source.read_bytes())
    ]
    for file in (tmp_path / "out" / "masks").iterdir():
        written = png.decode(file.read_bytes())
        assert ((written == 1) == (pixels == 2)).all()


def test_every_type_made_by_the_sdk(tmp_path: Path) -> None:
    from nucleus import annotation as made
    from nucleus import prediction as guessed

    point = made.Point
    common: dict[str, Any] = {"reference_id": "a.json", "metadata": {"k": 1}, "track_reference_id": "t"}
    payloads = [
        made.BoxAnnotation("car", 1, 2, 3, 4, annotation_id="1", embedding_vector=[0.5], **common),
        made.PolygonAnnotation("car", [point(1, 2), point(3, 4), point(5, 0)], annotation_id="2", **common),
        made.LineAnnotation("lane", [point(1, 2), point(3, 4)], annotation_id="3", **common),
        made.KeypointsAnnotation(
            "p",
            [made.Keypoint(1, 2), made.Keypoint(3, 4, visible=False), made.Keypoint(visible=False)],
            ["a", "b", "c"],
            skeleton=[[0, 1]],
            annotation_id="4",
            **common,
        ),
        made.CuboidAnnotation(
            "car", made.Point3D(1, 2, 3), made.Point3D(4, 5, 6), 0.5, annotation_id="5", **common
        ),
        made.CategoryAnnotation("sunny", taxonomy_name="weather", **common),
        made.MultiCategoryAnnotation(["a", "b"], taxonomy_name="two", **common),
        guessed.BoxPrediction(
            "car", 1, 2, 3, 4, confidence=0.5, annotation_id="1", class_pdf={"car": 1.0}, **common
        ),
        guessed.CategoryPrediction("sunny", taxonomy_name="weather", confidence=0.5, **common),
    ]
    source = tmp_path / "all.jsonl"
    source.write_text("".join(payload.to_json() + "\n" for payload in payloads))
    labels = read(source)
    (record,) = labels
    assert [annotation.shapes[0] for annotation in record.annotations] == [
        Box(1, 2, 3, 4),
        Polygon((((1, 2, 3, 4, 5, 0),),)),
        Line((1, 2, 3, 4)),
        Keypoints((1, 2, 2, 3, 4, 1, 0, 0, 0), ("a", "b", "c"), ((0, 1),)),
        Cuboid(1, 2, 3, 4, 5, 6, 0.5),
        Tag("weather"),
        Tag("two"),
        Tag("two"),
        Box(1, 2, 3, 4),
        Tag("weather"),
    ]
    lidar = msgspec.structs.replace(
        record, item=msgspec.structs.replace(record.item, kind="pointcloud", path="a.json")
    )
    rows = write(from_records(labels.header, [lidar]), tmp_path / "out")
    assert [bare(row) for row in rows] == [bare(payload.to_payload()) for payload in payloads]


def test_a_multicategory_that_was_taken_apart_stays_apart(save: Callable[..., Path], tmp_path: Path) -> None:
    labels = read(save("x.jsonl", {"labels": ["a", "b"], "type": "multicategory", "reference_id": "r"}))
    (record,) = labels
    changed = msgspec.structs.replace(record, annotations=record.annotations[1:])
    (row,) = write(from_records(labels.header, [changed]), tmp_path / "out")
    assert (row["type"], row["label"]) == ("category", "b")


# ---------------------------------------------------------------------- scenes


def test_scenes(save: Callable[..., Path]) -> None:
    source = save(
        "x.jsonl",
        {
            "reference_id": "s",
            "frames": [
                {
                    "top": {
                        "url": "https://x/0.json",
                        "type": "pointcloud",
                        "reference_id": "p",
                        "metadata": {},
                    },
                    "cam": {
                        "url": "https://x/0.jpg",
                        "type": "image",
                        "reference_id": "i",
                        "metadata": {"t": 1},
                    },
                }
            ],
            "metadata": {"city": "Graz"},
        },
        {**ROW, "reference_id": "i"},
        {"label": "wet", "type": "category", "geometry": {}, "reference_id": "s", "taxonomy_name": "road"},
    )
    labels = read(source)
    (scene,) = labels.header.scenes
    assert (scene.id, scene.kind, dict(scene.attributes)) == ("s", "lidar", {"city": "Graz"})
    assert [(a.label, a.shapes) for a in scene.categories] == [("wet", (Tag("road"),))]
    cloud, image = labels
    assert (cloud.item.kind, cloud.item.scene) == ("pointcloud", SceneRef(id="s", frame=0, sensor="top"))
    assert (image.item.scene, len(image.annotations)) == (SceneRef(id="s", frame=0, sensor="cam"), 1)


# ---------------------------------------------------------------------- masks


def test_masks_of_instances_and_of_classes(save: Callable[..., Path], tmp_path: Path) -> None:
    pixels = np.zeros((4, 5), np.uint8)
    pixels[1] = 2
    pixels[2] = 7
    pixels[3, 4] = 9
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "m.png").write_bytes(png.encode(pixels))
    segments = [
        {"label": "ground", "index": 0},
        {"label": "car", "index": 2, "metadata": {"id": 5}},
        {"label": "car", "index": "7"},
        {"label": "gone", "index": 8},
    ]
    source = save(
        "x.jsonl",
        {
            "type": "mask",
            "maskUrl": "s3://elsewhere/masks/m.png",
            "annotations": segments,
            "reference_id": "a",
        },
    )
    report = Report()
    (record,) = records(source, report)
    areas = [masks.area(masks.decode_counts(a.shape(Mask).counts)) for a in record.annotations]
    assert areas == [9, 5, 5, 0]
    assert [a.label for a in record.annotations] == ["ground", "car", "car", "gone"]
    assert record.annotations[1].attributes == {"id": 5}
    assert report.count("rejected", "value in a mask picture that no segment names") == 1


def test_a_remote_mask_that_is_not_here_comes_back_whole(save: Callable[..., Path], tmp_path: Path) -> None:
    row = {
        "type": "mask",
        "mask_url": "s3://b/m.png",
        "annotations": [{"label": "a", "index": 3, "metadata": {"k": 1}}, {"label": "b", "index": 1}],
        "annotation_id": "x",
        "reference_id": "a",
    }
    report = Report()
    labels = read(save("annotations.jsonl", row), report)
    assert [len(a.shapes) for a in next(labels.records(report)).annotations] == [0, 0]
    assert report.count("unreadable-shape") == 2
    assert write(labels, tmp_path / "out") == [row]


@pytest.mark.parametrize(
    ("url", "content", "error", "match"),
    [
        ("masks/none.png", None, ReadError, "not here"),
        ("/etc/hostname", None, ReadError, "not here"),
        ("../secret.png", b"", ReadError, "not here"),
        ("m.png", b"\xff\xd8JPEG", MalformedFileError, "not a PNG file but JPEG"),
        ("m.png", png.encode(np.zeros((3, 3), np.uint8)), SchemaError, "3 x 3 .* its image 8 x 10"),
    ],
)
def test_mask_pictures_that_cannot_be_read(
    save: Callable[..., Path], tmp_path: Path, url: str, content: bytes | None, error: Any, match: str
) -> None:
    (tmp_path.parent / "secret.png").write_bytes(png.encode(np.zeros((8, 10), np.uint8)))
    if content is not None:
        (tmp_path / "m.png").write_bytes(content)
    save("items.jsonl", ITEM)
    save("annotations.jsonl", ROW, {"type": "mask", "mask_url": url, "annotations": [], "reference_id": "a"})
    with pytest.raises(error, match=match) as caught:
        records(tmp_path)
    assert (caught.value.where.line, caught.value.where.path) == (2, "$.mask_url")
    report = Report("skip")
    assert len(records(tmp_path, report)[0].annotations) == 1
    assert report.count("rejected") == 1


# ---------------------------------------------------------------------- what is wrong

KEY = "$.metadata._nucleus_convert"


def _typed(kind: str, geometry: Any) -> dict[str, Any]:
    return {**ROW, "type": kind, "geometry": geometry}


def _ours(reserved: Any) -> dict[str, Any]:
    return {**ROW, "metadata": {"_nucleus_convert": reserved}}


@pytest.mark.parametrize(
    ("row", "path", "match"),
    [
        ({**ROW, "geometry": {**BOX, "x": "1"}}, "$.geometry.x", "Expected `int | float`, got `str`"),
        ({**ROW, "geometry": {"x": 1}}, "$.geometry", "missing required field `y`"),
        ({**ROW, "geometry": None}, "$.geometry", "Expected `object`"),
        ({**ROW, "label": 5}, "$.label", "Expected `str`, got `int`"),
        ({**ROW, "type": "blob"}, "$.type", "unknown payload type 'blob'"),
        (_typed("polygon", {"vertices": [{"x": 1, "y": []}]}), "$.geometry.vertices[0].y", "array"),
        ({**ROW, "metadata": [1]}, "$.metadata", "Expected `object | null`"),
        ({**ROW, "class_pdf": {"car": "x"}}, "$.class_pdf[...]", "Expected `int | float`"),
        ({**ROW, "reference_id": None}, None, "no reference_id"),
        ({"hello": 1}, None, "neither an item"),
        ([1], None, "neither an item"),
        ('{"label": NaN}\n', "$.label", "NaN is not JSON"),
        ('{"label": "car", \n', None, "not valid JSON"),
        (_typed("keypoints", {"keypoints": [{"visible": True}], "names": ["a"]}),
         "$.geometry.keypoints[0]", "must have x and y"),
        (_typed("keypoints", {"keypoints": [], "names": ["a"]}), "$.geometry.names", "1 names"),
        (_ours({"v": 99}), f"{KEY}.v", "newer nucleus-convert"),
        (_ours(5), KEY, "not as this program"),
        (_ours({"v": 1, "box": [1]}), f"{KEY}.box", "array` of length 4"),
        (_ours({"v": 1, "shapes": [{"type": "x"}]}), f"{KEY}.shapes[0].type", "Invalid value 'x'"),
        (_ours({"v": 1, "extras": {"coco": 5}}), f"{KEY}.extras[...]", "Expected `object`"),
        (_ours({"v": 1, "bools": 5}), f"{KEY}.bools", "Expected `array`"),
    ],
)  # fmt: skip
def test_bad_rows_are_named_and_skipped_on_request(
    save: Callable[..., Path], row: Any, path: str | None, match: str
) -> None:
    good = {**ROW, "annotation_id": "good", "reference_id": "g"}
    source = save("annotations.jsonl", good, row, {**good, "annotation_id": "better"})
    with pytest.raises(ConvertError, match=match) as caught:
        records(source)
    where = caught.value.where
    assert where is not None
    assert (where.file, where.line) == (str(source), 2)
    assert where.path == path
    for policy in ("skip", "quarantine"):
        report = Report(policy)  # type: ignore[arg-type]
        found = records(source, report)
        kept = [annotation.id for record in found for annotation in record.annotations]
        assert kept[:2] == ["good", "better"]
        assert report.count("rejected") == 1
        assert len(report.rejected) == (policy == "quarantine")


def test_a_file_is_known_although_its_first_row_is_no_json(save: Callable[..., Path], tmp_path: Path) -> None:
    save("of-a-model.jsonl", '{"label": NaN}\n', ROW, ROW)
    report = Report("skip")
    assert [len(record.annotations) for record in records(tmp_path, report)] == [2]
    assert report.count("rejected", "NaN is not JSON") == 1


DEEP = "[" * 3000 + "]" * 3000
GOOD = json.dumps({**ROW, "annotation_id": "good"})


@pytest.mark.parametrize(
    ("find", "put", "path", "said"),
    [
        ('"x": 1', '"x": NaN', ".geometry.x", "NaN is not JSON"),
        ('"label": "car"', '"label": "\xff"', ".label", "the text is not UTF-8"),
        ('"label": "car"', '"label": "car", "metadata": "\xff"', ".metadata", "the text is not UTF-8"),
        ('"label": "car"', '"label": "\\ud800 "', ".label", "not valid JSON"),
        ('"label": "car"', f'"label": "car", "metadata": {DEEP}', "", "nested too deeply"),
        ('"label": "car"', f'"label": "car", "note": {DEEP}', "", "nested too deeply"),
        ('"label": "car"', '"label": "car" "x"', "", "not valid JSON"),
    ],
)
@pytest.mark.parametrize(
    "form", ["{row}\n{bad}\n{row}", "[{row},{bad},{row}]", '{{"annotations":[{row},{bad},{row}]}}']
)
@pytest.mark.parametrize("labels_known", [False, True])
def test_a_row_that_is_no_json_is_one_bad_row(
    save: Callable[..., Path],
    tmp_path: Path,
    find: str,
    put: str,
    path: str,
    said: str,
    form: str,
    labels_known: bool,
) -> None:
    bad = GOOD.replace(find, put, 1)
    assert bad != GOOD
    name = "annotations.jsonl" if form.startswith("{row}") else "annotations.json"
    source = tmp_path / name
    source.write_bytes(form.format(row=GOOD, bad=bad).encode("latin-1"))
    if labels_known:
        save("dataset.json", {"nucleus_convert": 1, "header": {"labels": [{"name": "car"}]}})
        source = tmp_path
    with pytest.raises(ConvertError, match=said) as caught:
        records(source)
    where = caught.value.where
    assert where is not None
    head = {"{": "$", "[": "$[1]"}.get(form[0] if form[:2] != "{{" else "", "$.annotations[1]")
    assert where.path is None or where.path.startswith(head)
    assert str(where.path or "$").removeprefix(head).startswith(path)
    report = Report("quarantine")
    assert [one.id for record in records(source, report) for one in record.annotations] == ["good", "good"]
    [rejected] = report.rejected
    assert rejected.record == bad.encode("latin-1").decode("utf-8", "backslashreplace")


def test_the_place_in_a_document(save: Callable[..., Path]) -> None:
    bad = {**ROW, "geometry": {**BOX, "x": "1"}}
    with pytest.raises(SchemaError) as caught:
        records(save("a.json", {"annotations": [ROW, bad]}))
    assert caught.value.where.path == "$.annotations[1].geometry.x"
    with pytest.raises(SchemaError) as caught:
        records(save("b.json", [{"item": ITEM, "annotations": {"box": [ROW, bad]}}]))
    assert caught.value.where.path == "$[0].annotations.box[1].geometry.x"


@pytest.mark.parametrize(
    ("item", "match"),
    [
        ({**ITEM, "metadata": 5}, "expected an object"),
        ({**ITEM, "width": "wide"}, "expected a width"),
        ({**ITEM, "metadata": {"camera_params": {"fx": 1}}}, "camera parameters"),
        ({**ITEM, "image_url": 5}, "expected a location"),
        ({**ITEM, "image_url": "https://x/other.jpg"}, "twice, and differently"),
    ],
)
def test_bad_items(save: Callable[..., Path], item: Any, match: str) -> None:
    source = save("items.jsonl", ITEM, {**item, "reference_id": "a" if "twice" in match else "b"})
    with pytest.raises(SchemaError, match=match):
        records(source)
    report = Report("skip")
    assert records(source, report)[0].item.id == "a"
    assert report.ledger.balance()["item"]["skipped"] == 1


@pytest.mark.parametrize(
    ("content", "error", "match"),
    [
        ('{"nucleus_convert": 99, "header": {}}', SchemaError, "newer nucleus-convert"),
        ('{"nucleus_convert": 1, "header": {"labels": 5}}', SchemaError, "not as this program writes it"),
        ('{"nucleus_convert": 1, ', MalformedFileError, "not valid JSON"),
    ],
)
def test_a_damaged_sidecar(
    save: Callable[..., Path], tmp_path: Path, content: str, error: Any, match: str
) -> None:
    save("dataset.json", content)
    save("items.jsonl", ITEM)
    with pytest.raises(error, match=match):
        read(tmp_path)


def test_another_programs_dataset_file_is_none_of_ours(save: Callable[..., Path], tmp_path: Path) -> None:
    save("dataset.json", {"name": "mine"})
    save("items.jsonl", ITEM)
    assert len(records(tmp_path)) == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "5",
        '{"images": [], "annotations": [], "categories": []}',
        '[{"image_id": 1, "bbox": [1]}]',
        "<xml/>",
    ],
)
def test_what_is_not_nucleus(save: Callable[..., Path], tmp_path: Path, content: str) -> None:
    assert nucleus.sniff(save("x.json", content)) is not None
    assert nucleus.sniff(tmp_path) is not None


_atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.sampled_from(["", "a", "box"]),
)
_names = st.sampled_from(["x", "v", "id", "label", "type", "coco", "fields"])
_anything = st.recursive(
    _atoms,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(_names, inner, max_size=2)),
    max_leaves=4,
)


def _spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a JSON value something could be put in another's place."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(spot for key, entry in pairs for spot in _spots(entry, (*path, key)))]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_stands_in_a_row_it_is_read_or_refused(fixtures: Path, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(["payloads", "written/out"]))
    name = data.draw(st.sampled_from(["items", "annotations", "predictions", "scenes"]))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "x"
        shutil.copytree(fixtures / "nucleus" / case, source)
        rows = [json.loads(line) for line in (source / f"{name}.jsonl").read_bytes().splitlines()]
        spot = data.draw(st.sampled_from(_spots(rows)[1:]))
        holder: Any = rows
        for step in spot[:-1]:
            holder = holder[step]
        holder[spot[-1]] = data.draw(_anything)
        (source / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if data.draw(st.booleans()):
            (source / "dataset.json").unlink(missing_ok=True)
        report = Report("quarantine")
        try:
            found = records(source, report)
        except ConvertError:
            return  # of the file as a whole
        labels = from_records(Header(), found)
        report = Report()
        nucleus.write(
            labels,
            Target(Path(folder), Path(folder)),
            options=nucleus.WriteOptions(reference_id="id"),
            report=report,
        )


# ---------------------------------------------------------------------- without the sidecar


def test_the_reader_works_without_the_sidecar(tmp_path: Path) -> None:
    ring = (1, 1, 4, 1, 4, 5, 1, 5)
    record = Record(
        Item(id=7, path="a.jpg", width=10, height=8, subset="train", extras={"coco": {"license": 3}}),
        (
            Annotation(
                label="car",
                shapes=(Box(1, 1, 3, 4), Polygon(((ring,), ((5, 5, 6, 5, 6, 6),)))),
                id=5,
                crowd=False,
                extras={"coco": {"area": 12.5, "row": 0}},
            ),
        ),
    )
    header = Header(labels=(Label(name="car", id=3, parent="vehicle"),))
    write(from_records(header, [record]), tmp_path / "out")
    (tmp_path / "out" / "dataset.json").unlink()
    labels = read(tmp_path / "out")
    assert text(labels.header) == text(header)
    assert [text(entry) for entry in labels] == [text(record)]
    (single,) = read(tmp_path / "out" / "annotations.jsonl")
    assert text(single.annotations) == text(record.annotations)


def test_a_scene_is_the_same_each_time_it_is_read(tmp_path: Path) -> None:
    """Its items are kept from one stretch to the next, so reading must not use them up."""
    frames = [
        {
            "reference_id": f"f{i}", "image_url": f"f{i}.jpg",
            "metadata": {"width": 9, "height": 8, "_nucleus_convert": {"v": 1, "path": f"p{i}.jpg", "id": i}},
        }
        for i in range(3)
    ]  # fmt: skip
    scene = {"reference_id": "s", "frame_rate": 2, "frames": frames}
    (tmp_path / "scenes.jsonl").write_text(json.dumps(scene) + "\n")
    labels = nucleus.read(tmp_path, options=nucleus.ReadOptions(), report=Report())
    first = list(labels)
    assert [record.item.path for record in first] == ["p0.jpg", "p1.jpg", "p2.jpg"]
    assert list(labels) == first
    assert list(labels.records(Report(), 1, 2)) == first[1:2]
    assert list(pickle.loads(pickle.dumps(labels)).records(Report(), 2)) == first[2:]

"""Nucleus payloads written: the SDK loads every line and gives it back, and reading gives back the model."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
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
    Camera,
    Caption,
    Cuboid,
    Cuboid2D,
    Ellipse,
    Header,
    Item,
    Keypoints,
    Label,
    LabelSet,
    Line,
    Mask,
    Points,
    Polygon,
    Record,
    Report,
    Scene,
    SceneRef,
    Tag,
    Taxonomy,
    from_records,
)
from nucleus_convert.converters import masks, nucleus, png
from nucleus_convert.converters.compose import PIXELS_NOT_DRAWN
from nucleus_convert.converters.errors import OptionError, UnrepresentableError
from nucleus_convert.converters.fit import fitted
from nucleus_convert.converters.protocol import Target
from nucleus_convert.formats.nucleus import wire

sdk = pytest.importorskip("nucleus", reason="the SDK (scale-nucleus) is not installed")
uploader = pytest.importorskip("nucleus.annotation_uploader", reason="the SDK is not installed")

# ---------------------------------------------------------------------- helpers


def write(
    labels: LabelSet, folder: Path, report: Report | None = None, workers: int = 1, **options: Any
) -> Path:
    """Write, and check that the balance closes."""
    folder.mkdir(parents=True, exist_ok=True)
    report = Report() if report is None else report
    paths = nucleus.write(
        labels,
        Target(folder, folder, workers=workers),
        options=nucleus.WriteOptions(**options),
        report=report,
    )
    report.ledger.check()
    assert sorted(paths) == sorted(path for path in folder.rglob("*") if path.is_file())
    return folder


def read(source: Path, **options: Any) -> LabelSet:
    return nucleus.read(source, options=nucleus.ReadOptions(**options), report=Report())


def text(value: Any) -> bytes:
    """Canonical, and telling 1 from 1.0."""
    return msgspec.json.encode(value, order="sorted")


def assert_same(expected: LabelSet, actual: LabelSet) -> None:
    assert text(actual.header) == text(expected.header)
    before, after = list(expected), list(actual)
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert text(other) == text(one), f"{text(one).decode()}\n{text(other).decode()}"


def lines(folder: Path, stem: str) -> list[Any]:
    return [
        json.loads(line, parse_constant=pytest.fail)
        for path in sorted(folder.glob(f"{stem}*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def bare(value: Any, key: str = "") -> Any:
    """Without nulls and empty metadata, which load the same as nothing."""
    if isinstance(value, dict):
        stripped = {name: bare(entry, name) for name, entry in value.items()}
        return {
            name: entry
            for name, entry in stripped.items()
            if not (entry is None and key != "metadata") and not (name == "metadata" and entry == {})
        }
    return [bare(entry) for entry in value] if isinstance(value, list) else value


def check_with_sdk(folder: Path) -> Counter[str]:
    """Load every line with the SDK's classes, compare what they give back; how many of each class."""
    seen: Counter[str] = Counter()
    loaded: dict[str, list[Any]] = {"annotations": [], "predictions": []}
    for stem, load in (
        ("annotations", sdk.annotation.Annotation.from_json),
        ("predictions", sdk.prediction.from_json),
    ):
        for line in lines(folder, stem):
            made = load(json.loads(json.dumps(line)))
            if line["type"] == "mask":
                assert made.has_local_files_to_upload()
            assert bare(made.to_payload()) == bare(line)
            made.to_json()
            loaded[stem].append(made)
            seen[type(made).__name__] += 1
    uploader.AnnotationUploader(None, None).check_for_duplicate_ids(loaded["annotations"])
    uploader.PredictionUploader(None, dataset_id="d", model_id="m").check_for_duplicate_ids(
        loaded["predictions"]
    )
    items = []
    for line in lines(folder, "items"):
        item = sdk.DatasetItem.from_json(json.loads(json.dumps(line)))
        assert bare(item.to_payload()) == bare(line)
        items.append(item)
    for line in lines(folder, "scenes"):
        frames = line.get("frames")
        lidar = bool(frames) and "url" not in frames[0]
        scene = (sdk.LidarScene if lidar else sdk.VideoScene).from_json(json.loads(json.dumps(line)))
        for entries in frames or ():
            for entry in entries.values() if lidar else (entries,):
                entry.pop("image_url", None)  # told beside url for from_json's sake
                entry.pop("pointcloud_url", None)
        assert bare(scene.to_payload()) == bare(line)
        items.extend(scene.get_items() if frames else ())
        seen[type(scene).__name__] += 1
    sdk.dataset_item.check_for_duplicate_reference_ids(items)
    seen["DatasetItem"] = len(items)
    return seen


def one(*annotations: Annotation, header: Header | None = None, **item: Any) -> LabelSet:
    fields: dict[str, Any] = {"id": 1, "path": "a.jpg", "width": 10, "height": 8, **item}
    return from_records(header or Header(), [Record(Item(**fields), annotations)])


def mask_of(rows: list[str]) -> Mask:
    array = np.array([[pixel != "." for pixel in row] for row in rows], np.uint8)
    return Mask(masks.encode_counts(masks.from_array(array)), *array.shape)


SQUARE = (1, 1, 4, 1, 4, 5.5, 1, 5.5)
TRIANGLE = (5, 5, 8, 5, 6.5, 7)

# ---------------------------------------------------------------------- every type, through the SDK


def every_type() -> LabelSet:
    header = Header(
        labels=(
            Label(name="car", id=3, parent="vehicle"),
            Label(name="person", id=1, keypoints=("nose", "eye"), skeleton=((0, 1),)),
        ),
        taxonomies=(Taxonomy("weather", ("sunny", "rainy")),),
        scenes=(
            Scene(id="drive", kind="lidar", attributes={"city": "Graz"}),
            Scene(
                id="film",
                frame_rate=15,
                attributes={"rain": True},
                categories=(Annotation(label="night", shapes=(Tag("time"),)),),
            ),
            Scene(id="clip", video_url="https://example.com/v.mp4"),
        ),
        extras={"coco": {"info": {"year": 2017}}},
    )
    drawn = (
        Annotation(
            label="car", shapes=(Box(1, 2, 3.5, 4),), id=7, crowd=False, track="t1", embedding=(0.5, 1)
        ),
        Annotation(label="car", shapes=(Polygon(((SQUARE,), (TRIANGLE,))),), id=8, attributes={"red": 1.5}),
        Annotation(label="lane", shapes=(Line((0, 0, 5, 5.25, 9, 1)),), id="lane-1", occluded=True),
        Annotation(label="person", shapes=(Keypoints((1, 2, 2, 3, 4, 1), ("nose", "eye"), ((0, 1),)),), id=9),
        Annotation(label="sunny", shapes=(Tag("weather"),)),
        Annotation(label="grass", shapes=(mask_of(["##........"] * 8),), id=10),
        Annotation(label="sky", shapes=(mask_of(["....##...."] * 8),), id=11, z_order=3),
    )
    guessed = (
        Annotation(
            label="car", shapes=(Box(1, 2, 3, 4),), confidence=0.5, class_pdf={"car": 0.75, "bus": 0.25}
        ),
        Annotation(label="car", shapes=(Polygon(((SQUARE,),)),), predicted=True),
        Annotation(label="lane", shapes=(Line((0, 0, 5, 5)),), confidence=1),
        Annotation(label="person", shapes=(Keypoints((0, 0, 0, 3, 4, 2)),), confidence=0.25, id=4),
        Annotation(label="rainy", shapes=(Tag("weather"),), confidence=0.125),
        Annotation(label="grass", shapes=(mask_of(["##........"] * 8),), confidence=0.75, id=5),
    )
    cuboid = Cuboid(1, 2, 3, 4.5, 2, 1.5, -1.25)
    camera = Camera(
        position=(0, 0, 1.5),
        heading=(1, 0, 0, 0),
        fx=1000,
        fy=1001.5,
        cx=320,
        cy=240,
        model="fisheye",
        distortion={"k1": 0.1, "k2": 0, "p1": -0.5},
    )
    records = [
        Record(Item(id=1, path="images/a.jpg", width=10, height=8, attributes={"time": "day"}), drawn),
        Record(Item(id=2, path="images/b.png", width=10, height=8), guessed),
        Record(
            Item(
                id="p0",
                kind="pointcloud",
                path="https://x/0.json",
                scene=SceneRef(id="drive", frame=0, sensor="top"),
            ),
            (
                Annotation(label="car", shapes=(cuboid,), id="c", track="t1"),
                Annotation(label="car", shapes=(cuboid,), id="c", confidence=0.5),
            ),
        ),
        Record(
            Item(
                id="i0",
                path="https://x/0.jpg",
                camera=camera,
                scene=SceneRef(id="drive", frame=0, sensor="front", timestamp=1.5),
            )
        ),
        Record(
            Item(
                id="p1",
                kind="pointcloud",
                path="https://x/1.pcd",
                scene=SceneRef(id="drive", frame=1, sensor="top"),
            )
        ),
        Record(Item(id="f0", path="f0.jpeg", scene=SceneRef(id="film", frame=0))),
        Record(
            Item(id="f1", path="f1.jpg", width=10, height=8, scene=SceneRef(id="film", frame=1)), drawn[:2]
        ),
    ]
    return from_records(header, records)


def test_every_type_loads_with_the_sdk_and_comes_back_equal(tmp_path: Path) -> None:
    folder = write(every_type(), tmp_path / "out")
    assert check_with_sdk(folder) == {
        "BoxAnnotation": 2,
        "PolygonAnnotation": 4,
        "LineAnnotation": 1,
        "KeypointsAnnotation": 1,
        "CategoryAnnotation": 2,
        "SegmentationAnnotation": 1,
        "CuboidAnnotation": 1,
        "BoxPrediction": 1,
        "PolygonPrediction": 1,
        "LinePrediction": 1,
        "KeypointsPrediction": 1,
        "CategoryPrediction": 1,
        "SegmentationPrediction": 1,
        "CuboidPrediction": 1,
        "LidarScene": 1,
        "VideoScene": 2,
        "DatasetItem": 7,
    }
    assert_same(every_type(), read(folder))


def test_a_polygon_of_parts_is_a_payload_for_each_tied_by_id(tmp_path: Path) -> None:
    box = Box(0, 0, 10, 8)  # far from the polygon's envelope
    folder = write(
        one(Annotation(label="car", shapes=(box, Polygon(((SQUARE,), (TRIANGLE,)))), id=8)), tmp_path
    )
    rows = lines(folder, "annotations")
    assert [row["type"] for row in rows] == ["polygon", "polygon", "box"]
    assert [row["annotation_id"] for row in rows] == ["8", "8-part2", "8-box"]
    assert [row["metadata"]["_nucleus_convert"] for row in rows] == [
        {"v": 1, "id": 8, "part": [1, 2]},
        {"v": 1, "object": "8", "part": [2, 2]},
        {"v": 1, "object": "8"},
    ]


def test_a_box_that_the_region_gives_is_carried(tmp_path: Path) -> None:
    near = Annotation(label="car", shapes=(Box(1.5, 0.25, 3, 5), Polygon(((SQUARE,),))), id=8)
    far = Annotation(label="car", shapes=(Box(2.5, 1, 3, 5), Polygon(((SQUARE,),))), id=9)
    masked = Annotation(
        label="car",
        shapes=(Box(1, 1, 3, 2), mask_of(["." * 10, ".###......", ".###......"] + ["." * 10] * 5)),
        id=1,
    )
    folder = write(one(near, far, masked), tmp_path)
    rows = lines(folder, "annotations")
    assert [(row["type"], row["annotation_id"]) for row in rows] == [
        ("polygon", "8"),
        ("polygon", "9"),
        ("box", "9-box"),
        ("mask", "segmentation"),
    ]
    assert rows[0]["metadata"]["_nucleus_convert"]["box"] == [1.5, 0.25, 3, 5]
    assert rows[3]["annotations"][0]["metadata"]["_nucleus_convert"]["box"] == [1, 1, 3, 2]
    assert_same(one(near, far, masked), read(folder))


@pytest.mark.parametrize(
    ("shapes", "types"),
    [
        ("auto", ["polygon", "keypoints"]),
        ("all", ["polygon", "box", "keypoints"]),
        ("box", ["box"]),
        ("region", ["polygon"]),
        ("keypoints, box", ["box", "keypoints"]),
        ("mask", ["polygon", "keypoints"]),
    ],
)
def test_shapes_says_what_is_drawn_and_the_rest_is_carried(
    tmp_path: Path, shapes: str, types: list[str]
) -> None:
    annotation = Annotation(
        label="car", shapes=(Box(1, 1, 3, 4.5), Polygon(((SQUARE,),)), Keypoints((1, 2, 2))), id=8
    )
    report = Report()
    folder = write(one(annotation), tmp_path, report, shapes=shapes)
    assert [row["type"] for row in lines(folder, "annotations")] == types
    balance = report.ledger.balance()
    assert {kind for kind in ("box", "polygon", "keypoints") if balance[kind]["written"]} == set(types)
    check_with_sdk(folder)
    assert_same(one(annotation), read(folder))


def test_unknown_shapes_are_refused() -> None:
    from nucleus_convert.converters import options

    with pytest.raises(OptionError, match="'blob' is no shape"):
        options.validated(nucleus.WriteOptions, {"shapes": "box,blob"})


def test_annotation_ids_are_made_and_made_unique(tmp_path: Path) -> None:
    box = (Box(1, 1, 2, 2),)
    annotations = (
        Annotation(label="car", shapes=box),
        Annotation(label="car", shapes=box, id=5),
        Annotation(label="car", shapes=box, id="5"),
        Annotation(label="bus", shapes=box, id=5),
        Annotation(label="car", shapes=(Polygon(((SQUARE,), (TRIANGLE,))),), id=6),
        Annotation(label="car", shapes=box, id="6-part2"),
        Annotation(label="car", shapes=box, id="car-0001"),
        Annotation(shapes=box, id=""),
        Annotation(label="car", shapes=box, id=5, predicted=True),
    )
    report = Report()
    folder = write(one(*annotations), tmp_path, report)
    assert [row["annotation_id"] for row in lines(folder, "annotations")] == [
        "car-0001-2", "5", "5-2", "5-3", "6", "6-part2-2", "6-part2", "car-0001", "unlabelled-0008",
    ]  # fmt: skip
    assert [row["annotation_id"] for row in lines(folder, "predictions")] == ["5"]
    assert report.count("duplicate-id") == 2
    assert report.count("missing-id") == 2
    check_with_sdk(folder)
    assert_same(one(*annotations), read(folder))


def test_keypoints_that_nucleus_cannot_say_come_back(tmp_path: Path) -> None:
    shapes = [
        Keypoints((1, 2, 2, 3, 4, 1, 0, 0, 0), ("a", "b", "c"), ((0, 1), (1, 2))),
        Keypoints((5, 6, 0, 0.0, 0.0, 0)),
        Keypoints((5, 6, 0.75, 1, 1, 2.0), ("a", "a")),
        Keypoints((5, 6, 2), ("a", "b", "c"), ((0, 7), (-1, 0))),
    ]
    labels = one(*(Annotation(label="p", shapes=(shape,), id=i) for i, shape in enumerate(shapes)))
    folder = write(labels, tmp_path)
    rows = lines(folder, "annotations")
    assert rows[0]["geometry"] == {
        "keypoints": [
            {"x": 1, "y": 2, "visible": True},
            {"x": 3, "y": 4, "visible": False},
            {"visible": False},
        ],
        "names": ["a", "b", "c"],
        "skeleton": [[0, 1], [1, 2]],
    }
    assert "visibility" not in rows[0]["metadata"]["_nucleus_convert"]
    assert rows[1]["geometry"]["names"] == ["0", "1"]
    check_with_sdk(folder)
    assert_same(labels, read(folder))


def test_several_labels_of_one_taxonomy(tmp_path: Path) -> None:
    tags = [
        ("sunny", "weather"),
        ("rainy", "weather"),
        ("sunny", "weather"),
        ("a", None),
        ("b", None),
        ("x", "y"),
    ]
    labels = one(*(Annotation(label=label, shapes=(Tag(taxonomy),)) for label, taxonomy in tags))
    report = Report()
    folder = write(labels, tmp_path, report)
    assert [(row["label"], row.get("taxonomy_name")) for row in lines(folder, "annotations")] == [
        ("sunny", "weather"),
        ("True", "weather: rainy"),
        ("a", None),
        ("True", "labels: b"),
        ("x", "y"),
    ]
    assert report.count("carried") == 2
    assert report.ledger.balance()["object"] == {
        "read": 6, "written": 5, "carried": 1, "dropped": 0, "skipped": 0,
    }  # fmt: skip
    taxonomies = json.loads((folder / "taxonomies.json").read_text())
    assert taxonomies[0] == {"taxonomy_name": "weather", "taxonomy_type": "category", "labels": ["sunny"]}
    check_with_sdk(folder)
    assert_same(labels, read(folder))


def test_what_cannot_be_drawn_travels_with_its_item(tmp_path: Path) -> None:
    labels = one(
        Annotation(shapes=(Caption("A dog."),), id=1),
        Annotation(label="dog", shapes=(Box(1, 1, 2, 2),), id=2),
        Annotation(shapes=(Caption("Two dogs."),)),
        Annotation(label="cat", id=3, attributes={"seen": True}, track=5),
        Annotation(label="car", shapes=(Cuboid(1, 2, 3, 1, 1, 1, 0.5),)),
        attributes={"caption": "by hand"},
    )
    report = Report()
    folder = write(labels, tmp_path, report)
    (item,) = lines(folder, "items")
    assert item["metadata"]["caption"] == "A dog."
    assert item["metadata"]["caption_2"] == "Two dogs."
    assert report.ledger.balance()["object"]["carried"] == 4
    assert_same(labels, read(folder))


# ---------------------------------------------------------------------- masks


def test_masks_share_one_picture_and_the_covered_one_is_carried(tmp_path: Path) -> None:
    rows = [
        ["#####.....", "..........", "....######", ".........."],
        ["..........", "##########", "##########", ".........."],
    ]
    under, over = (mask_of(entry) for entry in rows)
    guess = Annotation(label="c", shapes=(over,), confidence=0.5, class_pdf={"c": 1.0}, track=4)
    labels = one(
        Annotation(label="a", shapes=(under,), id=1),
        Annotation(label="b", shapes=(over,), id=2),
        guess,
        height=4,
    )
    report = Report()
    folder = write(labels, tmp_path, report)
    (line,) = lines(folder, "annotations")
    assert line["mask_url"] == f"{tmp_path.as_posix()}/masks/a.jpg.png"
    pixels = png.decode((tmp_path / "masks" / "a.jpg.png").read_bytes())
    assert pixels.tolist() == [[1] * 5 + [0] * 5, [2] * 10, [2] * 10, [0] * 10]
    assert [segment["index"] for segment in line["annotations"]] == [1, 2]
    carried = line["annotations"][0]["metadata"]["_nucleus_convert"]["shapes"]
    assert carried == [msgspec.to_builtins(under)]
    finding = report.findings["mask-overlap", "nucleus", "later masks on top"]  # type: ignore[index]
    assert (finding.count, finding.worst) == (1, 6)
    (predicted,) = lines(folder, "predictions")
    assert predicted["annotations"][0]["metadata"]["confidence"] == 0.5
    check_with_sdk(folder)
    assert_same(labels, read(folder))


def test_masks_of_another_size_and_past_255_are_carried(tmp_path: Path) -> None:
    odd = Annotation(label="a", shapes=(Box(0, 0, 2, 2), mask_of(["##", "##"])), id="odd")
    dots = []
    for i in range(257):
        array = np.zeros((20, 20), np.uint8)
        array.reshape(-1)[i] = 1
        dots.append(
            Annotation(
                label="dot", shapes=(Mask(masks.encode_counts(masks.from_array(array)), 20, 20),), id=i
            )
        )
    labels = one(odd, *dots, width=20, height=20)
    report = Report()
    folder = write(labels, tmp_path, report)
    assert [row["type"] for row in lines(folder, "annotations")] == ["box", "mask"]
    assert report.count("mask-overflow", "the smallest are not drawn") == 2
    assert report.count("mask-overflow", PIXELS_NOT_DRAWN) == 2
    assert report.ledger.balance()["object"]["carried"] == 2
    check_with_sdk(folder)
    assert_same(labels, read(folder))


def test_a_mask_whose_text_is_not_the_usual_comes_back_as_it_was(tmp_path: Path) -> None:
    plain = mask_of(["#.", "##"])
    runs = masks.decode_counts(plain.counts)
    split = masks.encode_counts(np.concatenate([runs[:-1], [runs[-1] - 1, 0, 1]]))
    labels = one(Annotation(label="a", shapes=(Mask(split, 2, 2),)), width=None, height=None)
    assert split != plain.counts
    assert_same(labels, read(write(labels, tmp_path)))


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "/etc/passwd", "C:\\x\\y.jpg", "a/b\\c.jpg", "CON", "nul.txt", ".hidden", "x" * 300,
     "ü/日本.jpg", "A.jpg", "a.predicted", "a:b?.jpg", "x-0123456789", " "],
)  # fmt: skip
def test_mask_files_stay_in_their_folder_whatever_items_are_called(tmp_path: Path, path: str) -> None:
    annotation = Annotation(label="a", shapes=(mask_of(["#.", ".."]),), id=1)
    guess = Annotation(label="a", shapes=(mask_of(["..", "#."]),), id=2, confidence=0.5)
    labels = one(annotation, guess, path=path, width=2, height=2)
    folder = write(labels, tmp_path / "deep" / "out")
    files = sorted(file.name for file in (folder / "masks").iterdir())
    assert len(files) == 2
    assert [file for file in tmp_path.rglob("*.png") if file.parent != folder / "masks"] == []
    assert all(len(file) < 200 and not set(file) & set('\\/:*?"<>|') for file in files)
    assert_same(labels, read(folder))


def test_mask_names_differ_where_systems_do_not_tell_capitals_apart(tmp_path: Path) -> None:
    paths = ["a.jpg", "A.jpg", "a/b.jpg", "a_b.jpg", "a.jpg.predicted", "A.JPG"]
    annotations = tuple(
        Annotation(label="a", shapes=(mask_of(["#.", ".."]),), id=i, predicted=bool(i)) for i in (0, 1)
    )
    labels = from_records(
        Header(),
        [Record(Item(id=i, path=path, width=2, height=2), annotations) for i, path in enumerate(paths)],
    )
    folder = write(labels, tmp_path)
    assert len({file.name.lower() for file in (folder / "masks").iterdir()}) == 2 * len(paths)
    assert_same(labels, read(folder))


def test_mask_url_prefix(tmp_path: Path) -> None:
    labels = one(Annotation(label="a", shapes=(mask_of(["#.", ".."]),)), width=2, height=2)
    folder = write(labels, tmp_path, mask_url_prefix="s3://bucket/m")
    assert lines(folder, "annotations")[0]["mask_url"] == "s3://bucket/m/a.jpg.png"
    assert_same(labels, read(folder))


# ---------------------------------------------------------------------- items


def test_items_of_several_subsets_are_told_apart(tmp_path: Path) -> None:
    labels = from_records(
        Header(),
        [
            Record(Item(id=1, path="1.jpg", subset="train")),
            Record(Item(id=2, path="val/1.jpg", subset="val")),
            Record(Item(id=3, path="1.jpg", subset="val2")),
        ],
    )
    folder = write(labels, tmp_path)
    assert [row["reference_id"] for row in lines(folder, "items")] == [
        "train/1.jpg",
        "val/1.jpg",
        "val2/1.jpg",
    ]
    assert lines(folder, "items")[0]["image_url"] == "1.jpg"
    assert_same(labels, read(folder))


@pytest.mark.parametrize(
    ("how", "expected"), [("path", "a/b.c.jpg"), ("name", "b.c.jpg"), ("stem", "b.c"), ("id", "12")]
)
def test_reference_id(tmp_path: Path, how: str, expected: str) -> None:
    labels = one(Annotation(label="a", shapes=(Box(1, 1, 1, 1),)), id=12, path="a/b.c.jpg")
    folder = write(labels, tmp_path, reference_id=how)
    assert lines(folder, "items")[0]["reference_id"] == expected
    assert lines(folder, "annotations")[0]["reference_id"] == expected
    (record,) = read(folder)
    assert (record.item.id, record.item.path) == (12, "a/b.c.jpg")


@pytest.mark.parametrize("count", [2, 600])
def test_reference_ids_that_collide_are_refused(tmp_path: Path, count: int) -> None:
    records = [Record(Item(id=i, path=f"{i}/{'x' if i in (0, count - 1) else i}.jpg")) for i in range(count)]
    with pytest.raises(
        UnrepresentableError, match=rf"items 0 and {count - 1} would both .* 'x\.jpg'"
    ) as caught:
        write(from_records(Header(), records), tmp_path, reference_id="name")
    assert "--reference-id id" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("path", "root", "url"),
    [
        ("a/b.jpg", "s3://bucket/images", "s3://bucket/images/a/b.jpg"),
        ("a\\b.jpg", "s3://bucket/images/", "s3://bucket/images/a/b.jpg"),
        ("./b.jpg", "/data", "/data/b.jpg"),
        ("a/../b.jpg", "/data", "/data/a/../b.jpg"),
        ("https://x/y.jpg", "/data", "https://x/y.jpg"),
        ("/data/b.jpg", "/data", "/data/b.jpg"),
        ("b.jpg", None, "b.jpg"),
    ],
)
def test_image_root(tmp_path: Path, path: str, root: str | None, url: str) -> None:
    report = Report()
    folder = write(one(path=path), tmp_path, report, image_root=root)
    assert lines(folder, "items")[0]["image_url"] == url
    assert report.count("relative-url") == (root is None)
    assert_same(one(path=path), read(folder))


@pytest.mark.parametrize(
    "path", ["../secret.jpg", "a/../../b.jpg", "a\\..\\..\\b.jpg", "/etc/passwd", "C:/x.jpg"]
)
def test_image_paths_do_not_leave_the_root(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnrepresentableError, match="image"):
        write(one(path=path), tmp_path, image_root="s3://bucket/images")


def test_a_missing_path_is_completed_and_comes_back_missing(tmp_path: Path) -> None:
    labels = one(path=None)
    report = Report()
    folder = write(labels, tmp_path, report)
    assert lines(folder, "items")[0]["image_url"] == "1"
    assert report.count("completed") == 1
    assert_same(labels, read(folder))


# ---------------------------------------------------------------------- scenes


def test_records_come_back_in_their_order_even_from_scenes(tmp_path: Path) -> None:
    records = [
        Record(Item(id="z", path="z.jpg", scene=SceneRef(id="s", frame=30))),
        Record(Item(id="x", path="x.jpg")),
        Record(Item(id="y", path="y.jpg", scene=SceneRef(id="s", frame=10, sensor="left", timestamp=5))),
        Record(Item(id="c", path="c.json", kind="pointcloud")),
        Record(Item(id="d", path="d.jpg", scene=SceneRef(id="t", frame=0, sensor="l"))),
        Record(Item(id="e", path="e.jpg", scene=SceneRef(id="t", frame=0, sensor="r"))),
        Record(Item(id="f", path="f.json", kind="pointcloud", scene=SceneRef(id="u", frame=4))),
    ]
    labels = from_records(Header(scenes=(Scene(id="s"), Scene(id="t"), Scene(id="empty"))), records)
    report = Report()
    folder = write(labels, tmp_path, report)
    assert report.count("completed") == 1  # the frame rate
    assert report.count("carried") == 2  # two cameras at once; no frames
    seen = check_with_sdk(folder)
    assert (seen["VideoScene"], seen["LidarScene"]) == (1, 2)
    assert_same(labels, read(folder))


# ---------------------------------------------------------------------- files


def test_files_are_split_below_the_limit_between_lines(tmp_path: Path) -> None:
    records = [
        Record(
            Item(id=i, path=f"{i}.jpg"), (Annotation(label="a", shapes=(Box(i, 0, 1, 1),), id=i),) * (i % 3)
        )
        for i in range(700)
    ]
    labels = from_records(Header(labels=(Label(name="a"),)), records)
    whole = write(labels, tmp_path / "whole")
    parts = write(labels, tmp_path / "parts", part_bytes=5000)
    for stem in ("items", "annotations"):
        files = sorted(parts.glob(f"{stem}*"))
        assert [file.name for file in files] == [f"{stem}-{i:05}.jsonl" for i in range(len(files))]
        assert len(files) > 5
        assert all(4000 < file.stat().st_size <= 5000 for file in files[:-1])
        assert b"".join(file.read_bytes() for file in files) == (whole / f"{stem}.jsonl").read_bytes()
    assert_same(labels, read(parts))


def test_a_payload_larger_than_a_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnrepresentableError, match="more than a part may have"):
        write(one(Annotation(label="a" * 900, shapes=(Box(1, 1, 1, 1),))), tmp_path, part_bytes=500)


def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    records = [*every_type()] * 1
    more = [
        Record(
            Item(id=f"m{i}", path=f"M/{i}.jpg", width=10, height=8),
            (
                Annotation(label=f"l{i % 5}", shapes=(mask_of(["##........"] * 8),)),
                Annotation(
                    label="t", shapes=(Tag(f"x{i % 3}"),), attributes={"n": "text" if i == 599 else i}
                ),
            ),
        )
        for i in range(600)
    ]
    labels = from_records(every_type().header, [*records, *more])
    first, second = Report(), Report()
    one_, two = write(labels, tmp_path / "1" / "out", first), tmp_path / "2" / "out"
    write(labels, two, second, workers=2)
    assert first.to_dict() == second.to_dict()
    for file in one_.rglob("*"):
        if file.is_file():
            other = (two / file.relative_to(one_)).read_bytes()
            assert other.replace(two.as_posix().encode(), one_.as_posix().encode()) == file.read_bytes()


def test_an_empty_data_set(tmp_path: Path) -> None:
    labels = from_records(Header(labels=(Label(name="unused", id=4),)), [])
    folder = write(labels, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "annotations.jsonl",
        "dataset.json",
        "items.jsonl",
    ]
    assert nucleus.sniff(folder) is None
    assert_same(labels, read(folder))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: one(Annotation(label="a", shapes=(Box(n, 1, 1, 1),), id=4)),
        lambda n: one(Annotation(label="a", shapes=(Box(1, 1, 3, 4), Polygon((((n, 1, 2, 1, 2, 2),),))))),
        lambda n: one(Annotation(label="a", shapes=(Polygon((((n, 1, 2, 1, 2, 2),),)),))),
        lambda n: one(Annotation(label="a", shapes=(Box(1, 1, 1, 1),), confidence=n)),
        lambda n: one(Annotation(label="a", shapes=(Box(1, 1, 1, 1),), attributes={"x": [n], "y": None})),
        lambda n: one(Annotation(label="a", shapes=(Box(1, 1, 1, 1),), extras={"coco": {"area": n}})),
        lambda n: one(Annotation(shapes=(Ellipse(1, n, 1, 1),))),
        lambda n: one(attributes={"x": n}),
        lambda n: one(kind="pointcloud", attributes={"x": n}),
        lambda n: one(header=Header(extras={"coco": {"x": n}})),
    ],
)  # fmt: skip
def test_numbers_that_are_none_are_refused(tmp_path: Path, make: Any, number: float) -> None:
    with pytest.raises(UnrepresentableError, match="NaN or infinite"):
        write(make(number), tmp_path)


def test_nulls_that_are_meant_are_written(tmp_path: Path) -> None:
    labels = one(
        Annotation(label="null", shapes=(Box(1, 1, 1, 1),), attributes={"null": None, "x": [None]}),
        Annotation(label="a", shapes=(Box(1, 1, 1, 1),), confidence=0.5),
    )
    assert_same(labels, read(write(labels, tmp_path)))


# ---------------------------------------------------------------------- whatever there is

_small = st.integers(-20, 60)
_numbers = st.one_of(
    _small, st.floats(-1e6, 1e6, allow_nan=False), st.sampled_from([0.0, 2.5, 2**53, 2**70, 1e-7, 1e16])
)
_words = st.sampled_from(["car", "bus", "a b", "ü", "", "null", 'q"uote', "line\nbreak", "\u2028", "True"])
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _words),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(_words, inner, max_size=2)),
    max_leaves=4,
)
_names = st.sampled_from(
    ["color", "n", "iscrowd", "area", "category_id", "supercategory", "occluded", "group", "confidence",
     "lat", "lon", "_nucleus_convert", "camera_params", "width", "height", "subset", "caption", "caption_2",
     "timestamp", "license"]
)  # fmt: skip
_mappings = st.dictionaries(_names, _values, max_size=3)
_extras = st.dictionaries(st.sampled_from(["coco", "cvat"]), _mappings, max_size=2)


@st.composite
def _rings(draw: Any, least: int = 3) -> tuple[Any, ...]:
    count = draw(st.integers(least, 5))
    return tuple(draw(st.lists(_numbers, min_size=2 * count, max_size=2 * count)))


@st.composite
def _masks(draw: Any) -> Mask:
    height, width = draw(st.sampled_from([(4, 5)] * 5 + [(5, 4), (1, 1)]))
    bits = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    return Mask(masks.encode_counts(masks.from_array(np.array(bits).reshape(height, width))), height, width)


@st.composite
def _keypoints(draw: Any) -> Keypoints:
    count = draw(st.integers(1, 3))
    points: list[Any] = []
    for _ in range(count):
        points += [draw(_numbers), draw(_numbers), draw(st.sampled_from([0, 1, 2, 2, 0.5]))]
        if draw(st.booleans()):
            points[-3:] = [0, 0, 0]
    names = draw(st.one_of(st.just(()), st.lists(_words, min_size=count, max_size=count).map(tuple)))
    edges = draw(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), max_size=2).map(tuple))
    return Keypoints(tuple(points), names, edges)


_quads = st.tuples(_numbers, _numbers, _numbers, _numbers)
_SHAPES = {
    "box": _quads.map(lambda n: Box(*n)) | st.tuples(*[_numbers] * 5).map(lambda n: Box(*n[:4], n[4] or 0)),
    "polygon": st.lists(
        st.one_of(
            st.tuples(_rings()),
            st.tuples(_rings()),
            st.tuples(_rings(), _rings()),
            st.tuples(_rings(least=1)),
        ),
        min_size=1,
        max_size=3,
    ).map(lambda parts: Polygon(tuple(parts))),
    "line": _rings(least=1).map(Line),
    "points": _rings(least=1).map(Points),
    "keypoints": _keypoints(),
    "ellipse": st.tuples(*[_numbers] * 5).map(lambda n: Ellipse(*n[:4], n[4] or 0)),
    "mask": _masks(),
    "cuboid": st.tuples(*[_numbers] * 7, st.sampled_from(["lidar", "lidar", "camera"])).map(
        lambda n: Cuboid(*n)
    ),
    "cuboid2d": st.tuples(*[_numbers] * 16).map(Cuboid2D),
    "tag": st.sampled_from([None, "weather", "time"]).map(Tag),
    "caption": _words.map(Caption),
}


@st.composite
def _annotations(draw: Any) -> Annotation:
    kinds = draw(st.lists(st.sampled_from([*_SHAPES, "box", "polygon", "mask"]), max_size=3, unique=True))
    fields: dict[str, Any] = {"shapes": tuple(draw(_SHAPES[kind]) for kind in kinds)}
    some: dict[str, Any] = {
        "label": _words,
        "id": st.one_of(_small, st.sampled_from(["5", "5-2", "car-0001", "", "x"])),
        "predicted": st.booleans(),
        "confidence": st.floats(0, 1),
        "class_pdf": st.dictionaries(_words, st.floats(0, 1), max_size=2),
        "track": st.one_of(_small, _words),
        "group": st.one_of(_small, _words),
        "occluded": st.one_of(st.booleans(), st.floats(0, 1), st.integers(0, 3)),
        "truncated": st.one_of(st.booleans(), st.floats(0, 1)),
        "difficult": st.booleans(),
        "crowd": st.booleans(),
        "z_order": _small,
        "embedding": st.lists(_numbers, max_size=3).map(tuple),
        "attributes": _mappings,
        "extras": _extras,
    }
    for name in draw(st.lists(st.sampled_from([*some, "label", "label", "id"]), max_size=6, unique=True)):
        fields[name] = draw(some[name])
    return Annotation(**fields)


@st.composite
def _items(draw: Any, number: int) -> Item:
    fields: dict[str, Any] = {"id": draw(st.sampled_from([number, str(number), f"item {number}"]))}
    camera = st.builds(
        Camera,
        position=st.tuples(_numbers, _numbers, _numbers),
        heading=_quads,
        fx=_numbers,
        fy=_numbers,
        cx=_numbers,
        cy=_numbers,
        model=st.sampled_from([None, "fisheye", "brown_conrady", "unheard of"]),
        distortion=st.dictionaries(st.sampled_from(["k1", "k4", "p2", "xi"]), _numbers, max_size=2),
    )
    some: dict[str, Any] = {
        "path": st.sampled_from(
            [f"{number}.jpg", f"a/{number}", f"https://x/{number}.png", f"..\\{number}.jpeg"]
        ),
        "kind": st.sampled_from(["image", "pointcloud"]),
        "subset": st.sampled_from(["train", "val", ""]),
        "scene": st.builds(
            SceneRef,
            id=st.sampled_from(["s", "t", "u"]),
            frame=st.integers(0, 4),
            sensor=st.sampled_from([None, "l", "r"]),
            timestamp=st.one_of(st.none(), _numbers),
        ),
        "camera": camera,
        "attributes": _mappings,
        "extras": _extras,
    }
    for name in draw(st.lists(st.sampled_from(list(some)), max_size=4, unique=True)):
        fields[name] = draw(some[name])
    if draw(st.booleans()):
        fields |= {"width": 5, "height": 4}
    return Item(**fields)


@st.composite
def label_sets(draw: Any) -> LabelSet:
    records = [
        Record(draw(_items(number)), tuple(draw(st.lists(_annotations(), max_size=4))))
        for number in range(draw(st.integers(0, 4)))
    ]
    labels = tuple(
        Label(
            name=name, id=draw(st.sampled_from([None, i, str(i)])), parent=draw(st.sampled_from([None, "x"]))
        )
        for i, name in enumerate(draw(st.lists(_words, max_size=3, unique=True)))
    )
    scenes = tuple(
        Scene(
            id=name,
            kind=draw(st.sampled_from(["video", "lidar"])),
            frame_rate=draw(st.sampled_from([None, 0, 15, 29.97])),
            video_url=draw(st.sampled_from([None, "https://x/v.mp4"])),
            attributes=draw(_mappings),
            categories=tuple(
                Annotation(label=label, shapes=(Tag("time"),), attributes=draw(_mappings))
                for label in draw(st.lists(_words, max_size=1))
            ),
            extras=draw(_extras),
        )
        for name in draw(st.lists(st.sampled_from(["s", "t", "v"]), max_size=2, unique=True))
    )
    return from_records(Header(labels=labels, scenes=scenes, extras=draw(_extras)), records)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(label_sets(), st.sampled_from(["auto", "all", "box", "region,tag"]))
def test_what_is_written_reads_back_as_it_was(labels: LabelSet, shapes: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = write(labels, Path(folder) / "out", shapes=shapes)
        for stem in ("annotations", "predictions", "items", "scenes"):
            lines(out, stem)
        check_with_sdk(out)
        assert_same(labels, read(out))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(label_sets())
def test_what_fits_is_written_and_the_originals_come_back(labels: LabelSet) -> None:
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        out = write(fitted(labels, nucleus.SPEC, report), Path(folder) / "out", report)
        check_with_sdk(out)
        assert_same(labels, read(out))


def test_the_part_size_is_the_services() -> None:
    assert sdk.constants.MAX_PAYLOAD_SIZE == wire.PART_BYTES


def test_a_whole_number_of_any_size_is_written(tmp_path: Path) -> None:
    """More than a float holds: it is no bug to write it, and no place in an image either (see convert check)."""
    annotation = Annotation(label="cat", shapes=(Box(10**400, 1, 2, 3), Polygon((((1, 1, 2, 1, 2, 2),),))))
    folder = write(one(annotation), tmp_path)
    assert str(10**400) in (folder / "annotations.jsonl").read_text()


def test_metadata_that_many_have_in_common_is_that_of_each(tmp_path: Path) -> None:
    """Readers share dictionaries, and what is written for one must not be taken for what only looks like it."""
    attributes: list[dict[str, Any]] = [{}, {"color": "red"}, {"color": "null"}, {"n": 1}, {"n": True}]
    extras: list[dict[str, Any]] = [{}, {"cvat": {"source": "manual"}}, {"cvat": {"x": None}}]
    flags: list[dict[str, Any]] = [
        {}, {"occluded": True}, {"occluded": 1}, {"occluded": 1.0}, {"occluded": False}, {"occluded": 0},
        {"truncated": True}, {"truncated": 1}, {"track": "t"}, {"track": ""}, {"track": 1}, {"group": 3},
        {"z_order": 2}, {"difficult": True}, {"crowd": True}, {"confidence": 0.5}, {"id": "car-0009"}, {"id": ""},
    ]  # fmt: skip

    def labels(*, shared: bool) -> LabelSet:
        def own(given: dict[str, Any]) -> dict[str, Any]:
            return given if shared else {name: dict(v) if isinstance(v, dict) else v for name, v in given.items()}

        made = [
            Annotation(label="car", shapes=(shape,), attributes=own(said), extras=own(more), **flag)
            for said in attributes
            for more in extras
            for flag in (*flags, *reversed(flags))
            for shape in (Box(1, 2, 3, 4), Polygon(((SQUARE,),)))
        ]
        # One by one, all together, and those without an id together.
        nameless = tuple(annotation for annotation in made if annotation.id is None)
        groups = [(annotation,) for annotation in made] + [tuple(made), nameless]
        header = Header(labels=(Label(name="car", id=3, parent="thing"),))
        return from_records(header, [Record(Item(id=f"{i}.jpg"), group) for i, group in enumerate(groups)])

    reports = Report(), Report()
    for shared in (True, False):
        write(labels(shared=shared), tmp_path / str(shared), reports[shared])
    for stem in ("annotations", "predictions"):
        texts = [(tmp_path / str(shared) / f"{stem}.jsonl").read_bytes() for shared in (True, False)]
        assert texts[0] == texts[1]
    assert reports[0].to_json() == reports[1].to_json()
    assert_same(labels(shared=True), read(tmp_path / "True"))

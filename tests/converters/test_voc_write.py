"""The model to VOC: return trips, conventions, lists, masks, results, images; and what other tools read."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import nucleus_convert as nc
from nucleus_convert.converters import masks, pipeline
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import OptionError
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Header,
    Item,
    Keypoints,
    Label,
    Mask,
    Polygon,
    Record,
    Tag,
)
from nucleus_convert.converters.report import Report

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
SAMPLES = ROOT.parent / "shared" / "samples"
SAMPLE_SETS = [
    "voc/zzkkzz-ssd",
    "voc/icedata-readme",
    "voc/labelme/bbox_detection",
    "voc/labelme/instance_segmentation",
    "voc/labelme/semantic_segmentation",
    "voc/labelme/video_annotation",
    "multi/fizyr/pascal",
    "multi/icevision/samples/fridge/odFridgeObjects",
    "multi/icevision/samples/voc",
    "multi/labelformat/semantic_segmentation/pascalvoc",
    "multi/datumaro-assets/voc_dataset/voc_dataset1",
    "multi/datumaro-assets/voc_dataset/voc_dataset2",
    "multi/datumaro-assets/voc_dataset/voc_dataset3",
    "multi/datumaro-assets/roboflow_dataset/voc",
    "voc/dhiyu-ssd_x_pytorch/VOCdevkit/VOC2007/Annotations",
]


def write(labels: LabelSet, path: Path, **options: Any) -> Report:
    return nc.write(labels, path, "voc", verify="all", **options)


def made(*annotations: Annotation, labels: tuple[str, ...] = ("cat", "dog"), **item: Any) -> LabelSet:
    fields = {"id": "a", "path": "a.jpg", "width": 40, "height": 30, **item}
    return from_records(
        Header(labels=tuple(Label(name=n) for n in labels)), [Record(Item(**fields), annotations)]
    )


def by_id(labels: LabelSet) -> dict[Any, Record]:
    return {(record.item.id, record.item.subset): record for record in labels}


def without_coco(labels: LabelSet) -> dict[Any, Any]:
    """Records without what COCO files add of their own: ids, iscrowd, areas, an order, results apart."""

    def plain(annotation: Annotation) -> Annotation:
        extras = {name: value for name, value in annotation.extras.items() if name != "coco"}
        return msgspec.structs.replace(
            annotation,
            id=None,
            crowd=annotation.crowd or None,
            predicted=annotation.is_prediction,
            extras=extras,
        )

    made = {}
    for key, record in by_id(labels).items():
        annotations = sorted(map(repr, map(plain, record.annotations)))
        extras = {name: value for name, value in record.item.extras.items() if name != "coco"}
        made[key] = (msgspec.structs.replace(record.item, extras=extras), annotations)
    return made


def tree(path: Path) -> dict[str, bytes]:
    found = {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    found.pop("report.json", None)
    return found


def root(path: Path) -> Any:
    return ElementTree.parse(path).getroot()


# --- return trips --------------------------------------------------------------------------------------


@pytest.mark.parametrize("coords", ["auto", "voc", "edges"])
@pytest.mark.parametrize("case", ["kit", "tool"])
@pytest.mark.parametrize("middle", ["voc", "coco", "nucleus", "ir"])
def test_fixtures_come_back_whole(tmp_path: Path, case: str, middle: str, coords: str) -> None:
    source = FIXTURES / "voc" / case
    first = tmp_path / {"ir": "first.ndjson"}.get(middle, "first")
    options = {"coords": coords} if middle == "voc" else {}
    # COCO keeps predictions in a file of their own, so an object's place among the others may change.
    checked = "none" if middle == "coco" else "all"
    pipeline.convert(source, first, source="voc", target=middle, verify=checked, **options)
    pipeline.convert(first, tmp_path / "second", source=middle, target="voc", verify="all", coords=coords)
    before, after = nc.read(source, "voc", **options), nc.read(tmp_path / "second", "voc")
    if middle == "coco":
        assert without_coco(after) == without_coco(before)
        return
    assert by_id(after) == by_id(before)
    assert after.header.labels == before.header.labels
    own = dict(before.header.extras["voc"])
    assert {key: after.header.extras["voc"][key] for key in own} == own


@pytest.mark.parametrize("name", SAMPLE_SETS)
def test_samples_come_back_whole(tmp_path: Path, name: str) -> None:
    source = SAMPLES / name
    if not source.exists():
        pytest.skip(f"no sample files in {source}")
    for middle, alike in (("voc", by_id), ("nucleus", by_id), ("coco", without_coco)):
        # COCO keeps tags and predictions in places of their own, so an object's place may change.
        checked = "none" if middle == "coco" else "all"
        pipeline.convert(source, tmp_path / f"{middle}1", source="voc", target=middle, verify=checked)
        pipeline.convert(tmp_path / f"{middle}1", tmp_path / f"{middle}2", source=middle, target="voc")
        assert alike(nc.read(tmp_path / f"{middle}2", "voc")) == alike(nc.read(source, "voc"))


@pytest.mark.parametrize(
    ("name", "source"), [("ir/everything/labels.ndjson", "ir"), ("coco/tiny/instances.json", "coco")]
)
@pytest.mark.parametrize("options", [{}, {"coords": "voc"}, {"rounding": "outward"}])
def test_other_formats_come_back_whole(
    tmp_path: Path, name: str, source: str, options: dict[str, Any]
) -> None:
    before = nc.read(FIXTURES / name, source)
    pipeline.convert(FIXTURES / name, tmp_path / "v", source=source, target="voc", verify="all", **options)
    after = nc.read(tmp_path / "v", "voc")
    assert list(after) == list(before)
    assert after.header == before.header


def test_the_example_comes_back_whole(tmp_path: Path) -> None:
    source = ROOT / "examples" / "park" / "annotations" / "instances.json"
    pipeline.convert(source, tmp_path / "v", source="coco", target="voc", verify="all")
    assert list(nc.read(tmp_path / "v", "voc")) == list(nc.read(source, "coco"))


# --- what is written -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coords", "box", "sides"),
    [
        ("edges", Box(10, 20, 5, 6), ("10", "20", "15", "26")),
        ("voc", Box(10, 20, 5, 6), ("11", "21", "15", "26")),
        ("edges", Box(0.1, 0.2, 0.2, 0.7), ("0.1", "0.2", "0.3", "0.9")),
        ("voc", Box(0.1, 0.2, 1.2, 1.7), ("1.1", "1.2", "1.3", "1.9")),
        ("voc", Box(4, 4, 1, 1), ("5", "5", "5", "5")),
    ],
)
def test_either_convention(tmp_path: Path, coords: str, box: Box, sides: tuple[str, ...]) -> None:
    write(made(Annotation(label="cat", shapes=(box,))), tmp_path / "v", coords=coords)
    bndbox = root(tmp_path / "v/Annotations/a.xml").find("object/bndbox")
    assert tuple(bndbox.find(name).text for name in ("xmin", "ymin", "xmax", "ymax")) == sides
    assert next(iter(nc.read(tmp_path / "v", "voc"))).annotations[0].shape(Box) == box


def test_whole_pixels_on_request(tmp_path: Path) -> None:
    box = Box(1.25, 2, 3.5, 4.01)
    write(made(Annotation(label="cat", shapes=(box,))), tmp_path / "v", rounding="outward")
    bndbox = root(tmp_path / "v/Annotations/a.xml").find("object/bndbox")
    assert [bndbox.find(name).text for name in ("xmin", "ymin", "xmax", "ymax")] == ["1", "2", "5", "7"]
    assert next(iter(nc.read(tmp_path / "v", "voc"))).annotations[0].shapes == (box,)


def test_tools_find_what_they_want(tmp_path: Path) -> None:
    """The elements that detectron2, mmdetection and the usual scripts take for granted."""
    shapes = (Keypoints((5, 6, 2, 9, 9, 1)), Polygon((((1, 2, 9, 2, 5, 8),),)))
    write(
        made(Annotation(label="cat", shapes=shapes[:1]), Annotation(label="dog", shapes=shapes[1:])),
        tmp_path / "v",
    )
    annotation = root(tmp_path / "v/Annotations/a.xml")
    assert annotation.find("filename").text == "a.jpg"
    assert [annotation.find(f"size/{name}").text for name in ("width", "height", "depth")] == [
        "40",
        "30",
        "3",
    ]
    for one in annotation.iter("object"):
        assert one.find("name").text in ("cat", "dog")
        assert [one.find(name).text for name in ("pose", "truncated", "difficult")] == [
            "Unspecified",
            "0",
            "0",
        ]
        assert all(int(one.find("bndbox").find(side).text) >= 0 for side in ("xmin", "ymin", "xmax", "ymax"))
    assert (tmp_path / "v/ImageSets/Main/default.txt").read_text() == "a\n"
    assert (tmp_path / "v/labelmap.txt").read_text().splitlines()[1:] == [
        "background:0,0,0::",
        "cat:128,0,0::",
        "dog:0,128,0::",
    ]


def test_attributes_where_cvat_reads_them(tmp_path: Path) -> None:
    annotation = Annotation(
        label="cat",
        shapes=(Box(1, 2, 3, 4, 30.5),),
        track=7,
        attributes={"age": 4, "fur": "long", "tame": True},
    )
    write(made(annotation), tmp_path / "v")
    found = root(tmp_path / "v/Annotations/a.xml").findall("object/attributes/attribute")
    assert {one.find("name").text: one.find("value").text for one in found} == {
        "age": "4",
        "fur": "long",
        "tame": "True",
        "rotation": "30.5",
        "track_id": "7",
    }
    assert root(tmp_path / "v/Annotations/a.xml").find("object/nucleus_convert") is None


def test_masks_as_pictures_with_the_palette(tmp_path: Path) -> None:
    pixels = np.zeros((2, 30, 40), np.uint8)
    pixels[0, 5:10, 5:10] = 1
    pixels[1, 12:20, 8:30] = 1
    both = [Mask(masks.encode_counts(masks.from_array(one)), 30, 40) for one in pixels]
    labels = made(
        Annotation(label="dog", shapes=(Box(5, 5, 5, 5), both[0])), Annotation(label="cat", shapes=(both[1],))
    )
    write(labels, tmp_path / "v")
    with Image.open(tmp_path / "v/SegmentationClass/a.png") as picture:
        assert picture.mode == "P"
        assert picture.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        assert (np.asarray(picture) == 2 * pixels[0] + pixels[1]).all()
    with Image.open(tmp_path / "v/SegmentationObject/a.png") as picture:
        assert (np.asarray(picture) == pixels[0] + 2 * pixels[1]).all()
    assert (tmp_path / "v/ImageSets/Segmentation/default.txt").read_text() == "a\n"
    assert list(nc.read(tmp_path / "v", "voc")) == list(labels)


def test_masks_that_overlap_travel_along(tmp_path: Path) -> None:
    pixels = np.zeros((30, 40), np.uint8)
    pixels[5:20, 5:20] = 1
    mask = Mask(masks.encode_counts(masks.from_array(pixels)), 30, 40)
    other = Mask(masks.encode_counts(masks.from_array(np.roll(pixels, 3))), 30, 40)
    labels = made(Annotation(label="cat", shapes=(mask,)), Annotation(label="dog", shapes=(other,)))
    report = write(labels, tmp_path / "v")
    assert report.count(Code.MASK_OVERLAP) == 1
    assert list(nc.read(tmp_path / "v", "voc")) == list(labels)


def test_tags_are_lists_of_classes(tmp_path: Path) -> None:
    records = [
        Record(Item(id=name, path=f"{name}.jpg", subset=subset), tags)
        for name, subset, tags in (
            ("a", "train", (Annotation(label="cat", shapes=(Tag(),)),)),
            ("b c", "train", ()),
            ("d", "val", (Annotation(label="dog", shapes=(Tag(),)),)),
        )
    ]
    labels = from_records(Header(labels=(Label(name="cat"), Label(name="dog"))), records)
    write(labels, tmp_path / "v")
    main = tmp_path / "v/ImageSets/Main"
    assert (main / "cat_train.txt").read_text() == 'a  1\n"b c" -1\n'
    assert (main / "trainval.txt").read_text() == 'a\n"b c"\nd\n'
    assert list(nc.read(tmp_path / "v", "voc")) == records


def test_predictions_are_results_and_no_ground_truth(tmp_path: Path) -> None:
    labels = made(
        Annotation(label="cat", shapes=(Box(1, 2, 3, 4),)),
        Annotation(label="dog", shapes=(Box(171.0, 232.0, 20.0, 16.0),), confidence=0.949297),
        Annotation(label="cat", shapes=(Box(1, 2, 3, 4),), confidence=0.5, id=3),
    )
    write(labels, tmp_path / "v")
    assert len(root(tmp_path / "v/Annotations/a.xml").findall("object")) == 1
    line = (tmp_path / "v/results/Main/comp4_det_test_dog.txt").read_text()
    assert line == "a 0.949297 172.0 233.0 191.0 248.0\n"
    assert list(nc.read(tmp_path / "v", "voc")) == list(labels)


@pytest.mark.parametrize("how", ["link", "copy", "none"])
def test_images_are_placed(tmp_path: Path, how: str) -> None:
    report = pipeline.convert(
        ROOT / "examples/park/annotations/instances.json",
        tmp_path / "v",
        source="coco",
        target="voc",
        images=how,
        image_root=ROOT / "examples/park/images",
    )
    placed = sorted(path.name for path in (tmp_path / "v").glob("JPEGImages/*"))
    assert len(placed) == (0 if how == "none" else 12)
    assert report.count(Code.IGNORED_FILE) == 0
    if how != "none":
        again = pipeline.convert(
            tmp_path / "v", tmp_path / "w", source="voc", target="voc", images=how, verify="all"
        )
        assert again.count(Code.IGNORED_FILE) == 0
        assert sorted(path.name for path in (tmp_path / "w").glob("JPEGImages/*")) == placed


def test_images_need_a_root(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="images"):
        write(made(), tmp_path / "v", images="copy")


def test_images_never_come_from_outside_the_root(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "root").mkdir()
    labels = made(path="../secret.jpg")
    report = write(labels, tmp_path / "v", images="copy", image_root=tmp_path / "root")
    assert report.count(Code.IGNORED_FILE) == 1
    assert list(nc.read(tmp_path / "v", "voc")) == list(labels)
    assert not list(tmp_path.rglob("v/**/*.jpg"))


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "a.png", "A.jpg"],
        ["../a.jpg", "/etc/a.jpg", "C:\\a.jpg", "http://x.y/a.jpg?b=c", "a\x00b.jpg", ".hidden.jpg"],
        [
            "x" * 400 + ".jpg",
            "",
            " ",
            "a b.jpg",
            "é猫.jpg",
            "#1.jpg",
            "-1",
            "a/b/c.jpg",
            "a\nb.jpg",
            "no-suffix",
        ],
    ],
)
def test_awkward_names_come_back(tmp_path: Path, names: list[str]) -> None:
    records = [
        Record(Item(id=i, path=name), (Annotation(label="cat", shapes=(Box(i, 1, 2, 3),)),))
        for i, name in enumerate(names)
    ]
    write(from_records(Header(labels=(Label(name="cat"),)), records), tmp_path / "v")
    assert list(nc.read(tmp_path / "v", "voc")) == records
    assert all(path.resolve().is_relative_to(tmp_path / "v") for path in (tmp_path / "v").rglob("*"))


def test_workers_change_nothing(tmp_path: Path) -> None:
    for i in range(600):
        box = f"<xmin>{i}</xmin><ymin>1</ymin><xmax>{i + 4}</xmax><ymax>9</ymax>"
        text = f"<object><name>c{i % 7}</name><bndbox>{box}</bndbox></object>"
        (tmp_path / "s").mkdir(exist_ok=True)
        (tmp_path / f"s/{i}.xml").write_text(f"<annotation>{text}</annotation>")
    for target in ("voc", "nucleus"):
        for workers in (1, 2):
            pipeline.convert(tmp_path / "s", tmp_path / f"{target}{workers}", target=target, workers=workers)
        assert tree(tmp_path / f"{target}1") == tree(tmp_path / f"{target}2")


def test_labels_that_files_cannot_be_named_after(tmp_path: Path) -> None:
    names = ("a/b", "c:d", " e ", "f\x01", "g_train", "unlabelled", "background", "é" * 200)
    annotations = [
        Annotation(label=name, shapes=shapes, confidence=confidence)
        for name in (*names, None)
        for shapes, confidence in (((Box(1, 2, 3, 4),), None), ((Tag(),), None), ((Box(1, 2, 3, 4),), 0.5))
    ]
    labels = made(*annotations, labels=names)
    write(labels, tmp_path / "v")
    after = nc.read(tmp_path / "v", "voc")
    assert list(after) == list(labels)
    assert after.header.labels == labels.header.labels


@pytest.mark.parametrize("gone", ["train", "val"])
def test_a_subset_of_which_nothing_is_left_keeps_its_list(tmp_path: Path, gone: str) -> None:
    """Without it, what train and val say together would be read as something else."""
    kit = nc.read(FIXTURES / "voc/kit", "voc")
    rest = [record for record in kit if record.item.subset != gone]
    assert 0 < len(rest) < kit.size
    write(from_records(kit.header, rest), tmp_path / "v")
    assert list(nc.read(tmp_path / "v", "voc")) == rest
    assert (tmp_path / f"v/ImageSets/Main/{gone}.txt").read_bytes() == b""


NUMBERS = st.integers(-5, 60) | st.floats(-5, 60).map(lambda x: round(x, 3)) | st.floats(-1e6, 1e6)
SIDES = st.integers(0, 40) | st.floats(0, 1e5)
BOXES = st.builds(Box, NUMBERS, NUMBERS, SIDES, SIDES, st.sampled_from([0, 30, 12.5]))
RINGS = st.lists(NUMBERS, min_size=6, max_size=10).filter(lambda ring: len(ring) % 2 == 0).map(tuple)
POLYGONS = st.lists(st.tuples(RINGS), min_size=1, max_size=2).map(lambda parts: Polygon(tuple(parts)))
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-1, 1)
    | st.text(max_size=4)
    | st.just([1, "a"])
)
KEYS = st.sampled_from(["pose", "age", "rotation", "track_id", "reading", "x y", ""])
ANNOTATIONS = st.builds(
    Annotation,
    label=st.sampled_from(["cat", "dog", None]),
    shapes=st.one_of(BOXES.map(lambda x: (x,)), POLYGONS.map(lambda x: (x,)), st.tuples(BOXES, POLYGONS)),
    id=st.none() | st.integers(0, 99) | st.sampled_from(["7", "07", "x", " "]),
    predicted=st.booleans(),
    confidence=st.none() | st.floats(0, 1),
    track=st.none() | st.integers(0, 5) | st.sampled_from(["7", "t"]),
    occluded=st.none() | st.booleans() | st.sampled_from([0, 1, 0.5, 3]),
    truncated=st.none() | st.booleans() | st.sampled_from([0, 1, 0.5, 3]),
    difficult=st.none() | st.booleans(),
    attributes=st.dictionaries(KEYS, VALUES, max_size=3),
    extras=st.just({}) | st.dictionaries(KEYS, VALUES, max_size=3).map(lambda x: {"voc": x}),
)


@settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(ANNOTATIONS, max_size=4), st.sampled_from(["voc", "edges"]), st.booleans())
def test_anything_comes_back(
    tmp_path_factory: Any, annotations: list[Annotation], coords: str, ours: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    labels = made(*annotations)
    if ours:
        labels = LabelSet(Header(labels=labels.header.labels, extras={"voc": {}}), labels.source, size=1)
    write(labels, folder / "v", coords=coords)
    assert list(nc.read(folder / "v", "voc")) == list(labels)

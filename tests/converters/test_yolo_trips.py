"""There and back again: YOLO -> Nucleus -> YOLO, COCO -> YOLO -> COCO, fixtures and others' samples."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_convert import Header, Report, convert, from_records, read, write
from nucleus_convert.converters import registry
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import Annotation, Box, Item, Keypoints, Label, Mask, Polygon, Record
from nucleus_convert.converters.verify import differences, header_differences
from nucleus_convert.converters.yolo.lines import LineReader
from nucleus_convert.converters.yolo.opening import opened
from nucleus_convert.converters.yolo.options import ReadOptions

SAMPLES = Path("/work/shared/samples")
CASES: dict[str, dict[str, Any]] = {
    "detect": {}, "segment": {}, "pose": {}, "obb": {}, "classify": {}, "tracks": {}, "darknet": {},
    "predictions": {"image_size": "640x480"}, "roboflow": {}, "beside": {},
}  # fmt: skip
EVERYTHING = registry.get("ir").SPEC


def same(first: Path, second: Path, kinds: tuple[str, str], **options: Any) -> None:
    """Fail unless two data sets are equal by the model, every field of it."""
    a, b = read(first, kinds[0], **options), read(second, kinds[1])
    found = list(header_differences(a.header, b.header, EVERYTHING))
    for meant, got in zip(a, b, strict=True):
        found += list(differences(meant, got, EVERYTHING))
    # Digits: a billionth of a pixel, and what ten of them add up to.
    assert not [d for d in found if not _close(d.expected, d.found)]


def _close(expected: Any, found: Any) -> bool:
    if isinstance(expected, tuple | list) and isinstance(found, tuple | list) and len(expected) == len(found):
        return all(map(_close, expected, found))
    if (
        isinstance(expected, bool)
        or not isinstance(expected, int | float)
        or not isinstance(found, int | float)
    ):
        return bool(expected == found)
    return abs(expected - found) < 1e-6


@pytest.mark.parametrize("through", ["nucleus", "ir", "yolo"])
@pytest.mark.parametrize("case", CASES)
def test_fixtures_come_back(tmp_path: Path, fixtures: Path, case: str, through: str) -> None:
    source = fixtures / "yolo" / case
    middle = tmp_path / ("m.ndjson" if through == "ir" else "m")
    convert(source, middle, source="yolo", target=through, **CASES[case])
    convert(middle, tmp_path / "back", source=through, target="yolo")
    same(source, tmp_path / "back", ("yolo", "yolo"), **CASES[case])
    # A second trip changes not a byte of the labels.
    convert(tmp_path / "back", tmp_path / "again", source="yolo", target="yolo")
    files = {path.relative_to(tmp_path / "back") for path in (tmp_path / "back").rglob("*.txt")}
    assert files == {path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.txt")}
    for name in files:
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


@pytest.mark.parametrize("task", ["auto", "detect", "segment", "pose", "obb", "classify"])
@pytest.mark.parametrize("source", ["fixtures/coco/tiny/instances.json", "examples/park"])
def test_coco_comes_back_through_every_task(tmp_path: Path, fixtures: Path, source: str, task: str) -> None:
    path = fixtures.parent / source
    convert(path, tmp_path / "y", source="coco", target="yolo", task=task)
    convert(tmp_path / "y", tmp_path / "back", source="yolo", target="coco")
    same(path, tmp_path / "back", ("coco", "coco"))


@pytest.mark.parametrize("task", ["auto", "detect", "segment", "pose", "obb", "classify"])
@pytest.mark.parametrize("sidecar", [True, False])
def test_every_word_of_the_model_arrives_or_is_reported(
    tmp_path: Path, fixtures: Path, task: str, sidecar: bool
) -> None:
    source = fixtures / "ir/everything/labels.ndjson"
    report = convert(source, tmp_path / "y", source="ir", target="yolo", task=task, sidecar=sidecar)
    assert report.ledger.balance()
    if sidecar:
        same(source, tmp_path / "y", ("ir", "yolo"))
        assert not report.count("dropped")
    else:
        assert report.count("dropped")


def test_triangle_of_coco_yolo_nucleus(tmp_path: Path, fixtures: Path) -> None:
    source = fixtures.parent / "examples/park"
    for number, (kind, target) in enumerate([("coco", "nucleus"), ("nucleus", "yolo"), ("yolo", "coco")]):
        convert(
            source if not number else tmp_path / str(number),
            tmp_path / str(number + 1),
            source=kind,
            target=target,
        )
    same(source, tmp_path / "3", ("coco", "coco"))


# ---------------------------------------------------------------------- others' data sets


def sample_cases() -> list[Any]:
    y, m = SAMPLES / "yolo", SAMPLES / "multi"
    salmon = y / "ernestoelo-salmon-pose/YoloV8_Pose_Fine_Tuning"
    size = {"image_size": "1920x1080"}
    cats = y / "CyanCat22-roboflow"
    found: list[tuple[Path, dict[str, Any]]] = [
        (y / "AUMANSH-ships-mixed", {**size, "unknown_class": "name"}),
        (cats / "datasets/rock-paper", size),
        (cats / "atest/Rock Paper Scissors.v1i.yolov8", size),
        (cats / "atest/datasets/annotions/labels_my-project-name_2025-03-21-02-19-45", size),
        (y / "Obedalfred8381-traffic", {}),
        (y / "UnusualFrog-obb/Data/final_dataset_600", size),
        (y / "UnusualFrog-obb/Data/final_dataset_600", {**size, "task": "obb"}),
        (salmon / "data", size), (salmon / "raw_data/train", size), (salmon / "raw_data/validation", size),
        (y / "junho2000-predict/runs/detect/predict", size),
        *((y / "scott208-predictions/runs/detect" / name, size) for name in ("exp", "exp10", "exp13")),
        *((m / "datumaro-assets/yolo_dataset" / name, {}) for name in ("strict", "labels", "annotations")),
        *((m / "datumaro-assets/roboflow_dataset" / name, {}) for name in ("yolo", "yolo_obb")),
        (m / "labelformat/object_detection/YOLOv8", {}),
    ]  # fmt: skip
    return [
        pytest.param(path, options, id=f"{path.name}-{options.get('task', '')}") for path, options in found
    ]


@pytest.mark.parametrize(("source", "options"), sample_cases())
def test_samples_come_back_through_nucleus(tmp_path: Path, source: Path, options: dict[str, Any]) -> None:
    if not source.exists():
        pytest.skip(f"the sample {source} is not on this machine")
    convert(source, tmp_path / "n", source="yolo", target="nucleus", **options)
    convert(tmp_path / "n", tmp_path / "back", source="nucleus", target="yolo")
    same(source, tmp_path / "back", ("yolo", "yolo"), **options)


# ---------------------------------------------------------------------- anything

coordinates = st.one_of(
    st.floats(-50, 700, allow_nan=False).map(lambda v: round(v, 4)),
    st.integers(-50, 700),
    st.sampled_from([0, 1e-7]),
)
sizes = st.one_of(st.floats(0, 500).map(lambda v: round(v, 4)), st.integers(0, 500))
boxes = st.builds(
    Box, coordinates, coordinates, sizes, sizes, st.sampled_from([0, 0, 90, 30, -45, 359.5, 720])
)
rings = st.lists(coordinates, min_size=6, max_size=20).map(lambda v: tuple(v[: len(v) // 2 * 2]))
polygons = st.lists(st.lists(rings, min_size=1, max_size=2).map(tuple), min_size=1, max_size=3).map(
    lambda parts: Polygon(tuple(parts))
)
points = st.lists(
    st.tuples(coordinates, coordinates, st.sampled_from([0, 1, 2])), min_size=1, max_size=4
).map(lambda found: Keypoints(tuple(v for point in found for v in point)))
annotations = st.builds(
    lambda label, shapes, **fields: Annotation(
        label=label, shapes=tuple(s for s in shapes if s is not None), **fields
    ),
    st.sampled_from(["cat", "dog", None]),
    st.tuples(*(st.one_of(st.none(), kind) for kind in (boxes, polygons, points))),
    confidence=st.one_of(st.none(), st.floats(0, 1)),
    track=st.one_of(st.none(), st.integers(0, 5), st.just("t")),
    occluded=st.one_of(st.none(), st.booleans()),
)


@settings(max_examples=60, deadline=None)
@given(
    found=st.lists(annotations, max_size=4),
    task=st.sampled_from(["detect", "segment", "pose", "obb", "classify"]),
    parts=st.sampled_from(["bridge", "split", "largest"]),
    sidecar=st.booleans(),
    clip=st.booleans(),
    track_ids=st.booleans(),
    sized=st.booleans(),
)
def test_any_objects_are_written_and_verified(
    tmp_path_factory: pytest.TempPathFactory, found: list[Annotation], task: str, parts: str, sidecar: bool,
    clip: bool, track_ids: bool, sized: bool,
) -> None:  # fmt: skip
    size = {"width": 640, "height": 480} if sized else {}
    labels = from_records(
        Header(labels=(Label(name="cat"), Label(name="dog"))),
        [Record(Item(id="x", path="x.jpg", **size), tuple(found))],
    )
    target = tmp_path_factory.mktemp("any") / "o"
    # ``write`` reads back and compares, and raises if the balance does not close.
    write(
        labels, target, "yolo", task=task, parts=parts, sidecar=sidecar, clip=clip, track_ids=track_ids
    )  # fmt: skip
    if sidecar and not (parts == "split" and task == "segment"):
        (record,) = read(target, "yolo")
        assert not list(
            differences(next(iter(labels)), record, msgspec.structs.replace(EVERYTHING, decimals=8))
        )


tokens = st.one_of(
    st.sampled_from(["0", "1", "2", "0.5", "1.0", "-1", "1e400", "nan", "x", "0x1", "½", "1_0", ""]),
    st.floats(-3, 3).map(repr),
    st.integers(-3, 300).map(str),
    st.text(max_size=3),
)
texts = st.one_of(
    st.lists(st.lists(tokens, max_size=12).map(" ".join), max_size=6).map(
        lambda rows: "\n".join(rows).encode()
    ),
    st.binary(max_size=60),
)


@settings(max_examples=150, deadline=None)
@given(
    text=texts,
    task=st.sampled_from(["auto", "detect", "segment", "pose", "obb", "classify"]),
    trailing=st.sampled_from(["auto", "none", "confidence", "track", "confidence-track", "track-confidence"]),
    shape=st.sampled_from([None, "2,3", "1,2", "infer"]),
    unknown=st.sampled_from(["error", "name"]),
)
def test_any_label_file_is_read_or_refused_with_its_line(
    tmp_path_factory: pytest.TempPathFactory,
    text: bytes,
    task: str,
    trailing: str,
    shape: str | None,
    unknown: str,
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "labels").mkdir()
    (folder / "labels" / "x.txt").write_bytes(text)
    options = {
        "task": task,
        "trailing": trailing,
        "kpt_shape": shape,
        "unknown_class": unknown,
        "image_size": "64x48",
    }
    for policy in ("fail", "skip"):
        error = _refusal(folder, Report(policy), options)  # type: ignore[arg-type]
        if error is None:
            continue
        assert error.where is not None
        told_before_any_line = "keypoints" in error.message
        assert told_before_any_line or policy == "fail"
        if not told_before_any_line:
            assert str(error.where).startswith("labels/x.txt")
            assert error.where.line is not None


def _refusal(folder: Path, report: Report, options: dict[str, Any]) -> ConvertError | None:
    try:
        list(read(folder, "yolo", report=report, **options).records(report))
    except ConvertError as error:
        return error
    return None


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["names", "nc", "train", "val", "path", "kpt_shape", "flip_idx", "kpt_names"])
            | st.sampled_from(["skeleton", "nucleus_convert", "version", "task", "x"]),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(text=st.one_of(st.text(max_size=80), st.binary(max_size=40), values))
def test_any_data_yaml_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: Any) -> None:
    folder = tmp_path_factory.mktemp("yaml")
    if not isinstance(text, bytes):
        text = (text if isinstance(text, str) else yaml.safe_dump(text)).encode(errors="replace")
    (folder / "data.yaml").write_bytes(text)
    (folder / "labels").mkdir()
    (folder / "labels" / "x.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    error = _refusal(folder, Report("skip"), {"image_size": "8x8"})
    assert error is None or error.where is not None


def test_both_ways_of_reading_boxes_agree(tmp_path: Path) -> None:
    random.seed(4)
    rows = "".join(
        f"{number % 3} {random.random():.6f} {random.random()} {random.random() / 2:.3f} 1e-{number % 9}\n"
        for number in range(500)
    )
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "x.txt").write_text(rows)
    found = opened(tmp_path, ReadOptions(image_size="641x479"), Report())
    reader = LineReader(found.plan, found.names, {}, predicted=False)
    quick = reader.boxes(rows.encode(), 641, 479)
    assert quick is not None
    slow = [reader.read(line.split(), 641, 479, Report(), "x", 1) for line in rows.encode().splitlines()]
    assert quick == slow
    assert reader.boxes(b"0 0.5 0.5 0.5 0.5 0.9", 8, 8) is None
    assert reader.boxes(b"9 0.5 0.5 0.5 0.5", 8, 8) is None
    assert reader.boxes(b"0 0.5 nan 0.5 0.5", 8, 8) is None
    assert reader.boxes(b"", 8, 8) == []


def test_masks_survive_a_task_without_regions(tmp_path: Path) -> None:
    mask = Mask(counts="0040", height=2, width=2)
    labels = from_records(
        Header(labels=(Label(name="a"),)),
        [Record(Item(id=1, path="x.jpg", width=2, height=2), (Annotation(label="a", shapes=(mask,)),))],
    )
    write(labels, tmp_path / "o", "yolo", task="detect")
    assert list(read(tmp_path / "o", "yolo")) == list(labels)

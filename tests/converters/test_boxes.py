"""Plain boxes taken all at once: the same files and the same report as one by one."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nucleus_convert.converters import nucleus, pipeline, registry
from nucleus_convert.converters.boxes import Boxes
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.fit import Fit, fitted
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Box, Header, Item, Label, Record, Scene, SceneRef, Taxonomy
from nucleus_convert.converters.nucleus.boxlines import BoxLines
from nucleus_convert.converters.nucleus.itemlines import ItemLines
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.several import drawn
from nucleus_convert.converters.voc.records import VocSource

from .test_voc_survey import anything

TEXT = st.sampled_from(
    ["", "cat", "dog", "a-0001", 'the "cat"', "ca\u00e9\u2028", "_nucleus_convert", "null", "\n", "%d{}"]
)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-2, 3), TEXT, st.just(float("nan")), st.just([1, None]))
RARE: dict[str, st.SearchStrategy[Any]] = {
    "truncated": st.one_of(st.booleans(), st.sampled_from([0, 1, 1.0, 0.5])),
    "occluded": st.one_of(st.booleans(), st.sampled_from([0, 1, 2])),
    "difficult": st.booleans(),
    "crowd": st.booleans(),
    "z_order": st.integers(0, 2),
    "group": st.one_of(st.integers(0, 2), TEXT),
    "track": st.one_of(st.integers(0, 2), TEXT),
    "id": st.one_of(st.integers(0, 2), TEXT),
    "predicted": st.booleans(),
    "confidence": st.sampled_from([0, 0.5]),
    "class_pdf": st.just({"cat": 1.0}),
    "embedding": st.just((1.0, 2.0)),
    "attributes": st.dictionaries(TEXT, PLAIN, max_size=2),
    "extras": st.dictionaries(st.sampled_from(["voc", "nucleus", "coco"]), st.dictionaries(TEXT, PLAIN, max_size=2)),
}
KINDS = st.builds(
    lambda label, fields: Annotation(label=label, **fields),
    st.one_of(st.just("cat"), TEXT, st.none()),
    st.one_of(st.just({}), st.fixed_dictionaries({}, optional={n: RARE[n] for n in ("truncated", "difficult")}),
              st.fixed_dictionaries({}, optional=RARE)),
)  # fmt: skip
EXTRAS = st.sampled_from([
    {}, {"voc": {"folder": "VOC2012"}}, {"voc": {"note": "null"}}, {"coco": {"license": 3}}, {"nucleus": {"more": 1}},
    {"voc": {"_nucleus_convert": '"_nucleus_convert":{"v":1,"id":'}}, {"voc": {"x": float("nan")}},
])  # fmt: skip


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[Header, list[Record]]:
    kinds = draw(st.lists(KINDS, min_size=1, max_size=5))
    extras = draw(st.lists(EXTRAS, min_size=1, max_size=2))
    records: list[Record] = []
    for number in range(draw(st.integers(1, 8))):
        name = draw(st.sampled_from([f"{number}", f"sub/{number}", f'"{number}\u00e9', f"id:{number}", f"/{number}"]))
        item = Item(
            id=draw(st.sampled_from([name, number, f"{name}.jpg"])),
            path=draw(st.sampled_from([f"{name}.jpg", f"{name}.jpg", name, None])),
            width=draw(st.sampled_from([500, None])),
            height=400,
            subset=draw(st.sampled_from(["train", None])),
            extras=draw(st.sampled_from(extras)),
            attributes=draw(st.sampled_from([{}, {}, {"weather": "fair"}])),
            scene=draw(st.sampled_from([None, None, None, SceneRef(id="s", frame=number)])),
        )
        count = draw(st.integers(1, 4))
        sides = tuple(draw(st.integers(-5, 10**6)) for _ in range(4 * count))
        its = tuple(draw(st.sampled_from(kinds)) for _ in range(count))
        whole = Record(item, (Boxes(kinds=its, sides=sides),))
        records.append(drawn(whole) if draw(st.booleans()) and number else whole)
    labels = tuple(Label(name=name, id=i) for i, name in enumerate(["cat", "dog"], 1))
    scenes, taxonomies = (Scene(id="s", kind="video"),), (Taxonomy(name="t", labels=()),)
    return Header(labels=labels, scenes=scenes, taxonomies=taxonomies), records


class Source(msgspec.Struct):
    """Records as they are, or drawn until somebody asks for outlines."""

    held: list[Record]
    boxed: bool = False

    def outlined(self) -> Source:
        return Source(self.held, boxed=True)

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        records = self.held[start:stop]
        yield from records if self.boxed else map(drawn, records)


def written(header: Header, records: list[Record], options: Any, *, boxed: bool) -> Any:
    """All files that are written, and the report; or the error."""
    report = Report()
    source = Source(records)
    if not boxed:
        source = Source([drawn(record) for record in records])
    labels = fitted(LabelSet(header, source, size=len(records)), nucleus.SPEC, report)
    with tempfile.TemporaryDirectory() as folder:
        try:
            nucleus.write(labels, Target(Path(folder), Path("/final")), options=options, report=report)
        except ConvertError as error:
            return type(error), str(error)
        report.ledger.check()
        return {path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}, report.to_json()


OPTIONS = st.sampled_from([
    {}, {}, {"reference_id": "id"}, {"reference_id": "stem"}, {"image_root": "s3://bucket"}, {"shapes": "all"},
    {"segmentation": "instance"}, {"scenes": "none"},
])  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(data_sets(), OPTIONS)
def test_boxes_are_written_as_drawn_ones_are(data: tuple[Header, list[Record]], options: dict[str, Any]) -> None:
    header, records = data
    chosen = nucleus.WriteOptions(**options)
    assert written(header, records, chosen, boxed=True) == written(header, records, chosen, boxed=False)


@settings(max_examples=60, deadline=None)
@given(data_sets(), st.sampled_from(list(registry.FORMATS)))
def test_boxes_fit_as_drawn_ones_do(data: tuple[Header, list[Record]], name: str) -> None:
    outcomes = []
    for draw in (False, True):
        step, report = Fit(registry.get(name).SPEC), Report()
        kept: list[Record] = []
        for record in data[1]:
            record = drawn(record) if draw else record
            report.ledger.read(record)
            fit = step(record, report)
            if fit is not None:
                kept.append(drawn(fit))
        outcomes.append(([repr(record) for record in kept], report.to_json()))
    assert outcomes[0] == outcomes[1]


def test_drawing() -> None:
    cat, dog = Annotation(label="cat", difficult=True), Annotation(label="dog", attributes={"pose": "Left"})
    record = Record(Item(id=1), (Boxes(kinds=(cat, dog), sides=(1, 2, 3, 4, 5, 6, 7, 8)),))
    assert drawn(record).annotations == (
        Annotation(label="cat", difficult=True, shapes=(Box(1, 2, 3, 4),)),
        Annotation(label="dog", attributes={"pose": "Left"}, shapes=(Box(5, 6, 7, 8),)),
    )
    assert drawn(drawn(record)) == drawn(record)


def test_more_boxes_than_usual() -> None:
    kinds = (Annotation(label="cat"),) * 10_001
    records = [Record(Item(id="a", path="a.jpg"), (Boxes(kinds=kinds, sides=tuple(range(4 * len(kinds)))),))]
    options = nucleus.WriteOptions()
    quick = written(Header(), records, options, boxed=True)
    assert quick == written(Header(), records, options, boxed=False)
    assert b'"cat-10001"' in quick[0]["annotations.jsonl"]


def converted(folder: Path, target: Path, **options: Any) -> Any:
    """What a VOC data set becomes; or the error."""
    shutil.rmtree(target, ignore_errors=True)
    try:
        pipeline.convert(folder, target, source="voc", on_error="quarantine", **options)
    except ConvertError as error:
        return type(error), str(error)
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32),
    st.sampled_from([{}, {}, {"coords": "edges"}, {"reference_id": "id"}, {"predictions": True}, {"verify": "all"}]),
)
def test_voc_files_one_way_and_the_other(
    tmp_path_factory: pytest.TempPathFactory, seed: int, options: dict[str, Any]
) -> None:
    rng = random.Random(seed)
    folder = tmp_path_factory.mktemp("voc")
    for part in ("Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    names = [f"{number:02}" for number in range(rng.randint(1, 30))]
    for name in names:
        text = anything(rng).replace("{stem}", name)
        (folder / f"Annotations/{name}.xml").write_text(text, encoding="utf-8")
    for name in rng.sample(["train", "val", "cat_train"], rng.randint(0, 2)):
        some = rng.sample(names, len(names) // 2 + 1)
        (folder / f"ImageSets/Main/{name}.txt").write_text("".join(f"{item}\n" for item in some))
    quick = converted(folder, folder / "out", **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VocSource, "outlined", lambda self: self)
        assert converted(folder, folder / "out", **options) == quick
        patch.setattr(VocSource, "_at_once", lambda *_: None)
        assert converted(folder, folder / "out", **options) == quick


def test_most_voc_files_are_written_as_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the tests above compare a way with itself."""
    (tmp_path / "Annotations").mkdir()
    rng = random.Random(3)
    for number in range(100):
        text = anything(rng).replace("{stem}", str(number))
        (tmp_path / f"Annotations/{number}.xml").write_text(text, encoding="utf-8")
    lines, items = BoxLines.lines, ItemLines.line
    quick = {"lines": 0, "items": 0}

    def counted_lines(self: BoxLines, boxes: Boxes, reference: str) -> Any:
        made = lines(self, boxes, reference)
        quick["lines"] += made is not None
        return made

    def counted_items(self: ItemLines, item: Item, path: bytes) -> Any:
        made = items(self, item, path)
        quick["items"] += made is not None
        return made

    monkeypatch.setattr(BoxLines, "lines", counted_lines)
    monkeypatch.setattr(ItemLines, "line", counted_items)
    converted(tmp_path, tmp_path / "out", verify="none")
    assert quick["lines"] >= 25
    assert quick["items"] >= 15

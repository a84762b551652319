"""Plain shapes of CVAT's XML taken as text: the same records, files, reports and errors as by way of their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nucleus_convert as nc
from nucleus_convert.converters.cvat.images import Images
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.fit import Fit, fitted
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Record
from nucleus_convert.converters.nucleus import SPEC
from nucleus_convert.converters.nucleus.assembly import Assembly
from nucleus_convert.converters.nucleus.sketchlines import SketchLines
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.several import drawn as drawn_record
from nucleus_convert.converters.sketch import Sketches
from nucleus_convert.formats.cvat import scan

CORNERS = " ".join(f'{axis}{c}{f}="{ord(c[0]) % 9}.5"' for f in "12" for c in ("tl", "bl", "tr", "br") for axis in "xy")
META = """<meta><task><name>t</name><size>9</size><mode>annotation</mode><subset>{subset}</subset>
<labels><label><name>car</name><type>any</type><attributes>
<attribute><name>color</name><mutable>False</mutable><input_type>select</input_type><values>red
blue</values></attribute>
<attribute><name>parked</name><mutable>False</mutable><input_type>checkbox</input_type><values>false</values></attribute>
<attribute><name>difficult</name><mutable>False</mutable><input_type>checkbox</input_type><values>false</values></attribute>
<attribute><name>occluded</name><mutable>False</mutable><input_type>checkbox</input_type><values>false</values></attribute>
<attribute><name>age</name><mutable>False</mutable><input_type>number</input_type><values>0
9
1</values></attribute></attributes></label>
<label><name>d"og é</name><type>any</type><attributes></attributes></label>
<label><name>body</name><type>skeleton</type><attributes></attributes>
<svg>&lt;line data-type="edge" data-node-from="1" data-node-to="2"/&gt;&lt;circle data-type="element node" \
data-element-id="1" data-node-id="1" data-label-name="%"/&gt;&lt;circle data-type="element node" \
data-element-id="2" data-node-id="2" data-label-name="b"/&gt;</svg></label>
<label><name>%</name><type>points</type><attributes></attributes><parent>body</parent></label>
<label><name>b</name><type>points</type><attributes></attributes><parent>body</parent></label>
</labels></task></meta>
"""
LEG = '<points label="{}" source="manual" outside="{}" occluded="{}" points="1.50,2"></points>'
BOX = 'xtl="1.50" ytl="2.00" xbr="30" ybr="40.25"'
PLAIN = {
    "a box": f'<box label="car" source="manual" occluded="0" {BOX} z_order="0">\n</box>',
    "another order of attributes": f'<box {BOX} z_order="0" label="car"/>',
    "a polygon": '<polygon label="car" source="auto" occluded="1" points="1.50,2;30.25,4;5,60" z_order="3"/>',
    "a group and a place in front": f'<box label="car" {BOX} z_order="2" group_id="12"/>',
    "group 0": f'<box label="car" {BOX} z_order="0" group_id="0"/>',
    "a group of another kind": f'<box label="car" {BOX} z_order="-1" group_id="007"/>',
    "a line": '<polyline label="car" points="1,2;30,4.00" group_id="7"/>',
    "a name with marks": f'<box label="d&quot;og é" {BOX}/>',
    "turned": f'<box label="car" {BOX} rotation="12.50" occluded="1" z_order="2"/>',
    "an ellipse": '<ellipse label="car" cx="20" cy="20.50" rx="5" ry="3"/>',
    "an ellipse of no size": '<ellipse label="car" cx="20" cy="20.50" rx="0" ry="0.00"/>',
    "a turned ellipse": '<ellipse label="car" cx="20" cy="20.50" rx="5" ry="3" rotation="-3"/>',
    "points": '<points label="car" points="1,2;3,4.50" source="auto"/>',
    "a cuboid": f'<cuboid label="car" {CORNERS}/>',
    "a tag": '<tag label="car" source="manual"></tag>',
    "a tag of much": '<tag label="d&quot;og é" source="auto" group_id="4"></tag>',
    "a skeleton": (
        f'<skeleton label="body" z_order="1">{LEG.format("b", "0", "1")}{LEG.format("%", "0", "0")}</skeleton>'
    ),
    "a skeleton with a joint outside": (
        f'<skeleton label="body" source="auto">{LEG.format("%", "0", "0")}\n{LEG.format("b", "1", "0")}</skeleton>'
    ),
    "a skeleton that nobody knows": '<skeleton label="car"><points label="a" points="1,2" occluded="1"/></skeleton>',
    "a joint outside at 0": (
        f'<skeleton label="body">{LEG.format("%", "0", "0")}<points label="b" outside="1" points="0,0"/></skeleton>'
    ),
}
OTHERS = {
    "turned by nothing": f'<box label="car" {BOX} rotation="0.00"/>',
    "an ellipse turned by nothing": '<ellipse label="car" cx="20" cy="20.50" rx="5" ry="3" rotation="0"/>',
    "a skeleton without a joint": f'<skeleton label="body">{LEG.format("b", "0", "1")}</skeleton>',
    "a skeleton with a joint twice": f'<skeleton label="body">{LEG.format("b", "0", "1") * 2}</skeleton>',
    "a joint outside and occluded": (
        f'<skeleton label="body">{LEG.format("%", "1", "1")}{LEG.format("b", "0", "0")}</skeleton>'
    ),
    "a joint of two points": (
        f'<skeleton label="body">{LEG.format("%", "0", "0")}<points label="b" points="1,2;3,4"/></skeleton>'
    ),
    "a joint that says more": (
        f'<skeleton label="body">{LEG.format("%", "0", "0")}<points label="b" group_id="3" points="1,2"/></skeleton>'
    ),
    "a mask": '<mask label="car" rle="1, 4, 1" left="5" top="7" width="3" height="2" source="auto" occluded="0"/>',
    "a box of huge numbers": '<box label="car" xtl="1e3" ytl="2" xbr="1234567.5" ybr="400"/>',
    "small numbers": '<box label="car" xtl="0.00001" ytl="2" xbr="0.00002" ybr="4"/>',
    "a line of one point": '<polyline label="car" points="1,2"/>',
}
NOTED = {
    "an unknown label": f'<box label="cat" {BOX}/>',
    "an unknown attribute": f'<box label="car" wobble="1" {BOX}/>',
    "an unknown element": "<spline/>",
    "edges the wrong way": '<box label="car" xtl="5" ytl="2" xbr="3" ybr="4"/>',
    "a polygon of two points": '<polygon label="car" points="1,2;3,4"/>',
    "a polygon that is turned": '<polygon label="car" rotation="" points="1,2;3,4;5,1"/>',
}
WRONG = {
    "no label": f"<box {BOX}/>",
    "no number": '<box label="car" xtl="x" ytl="2" xbr="3" ybr="4"/>',
    "not complete": '<box label="car" ytl="2" xbr="3" ybr="4"/>',
    "a flag that is none": f'<box label="car" occluded="2" {BOX}/>',
    "odd points": '<polygon label="car" points="1,2;3,4;5"/>',
}
BROKEN = {
    "an attribute twice": f'<box label="car" label="car" {BOX}/>',
    "a group twice": f'<box label="car" group_id="4" {BOX} group_id="5"/>',
    "a place in front twice": f'<box label="car" z_order="0" {BOX} z_order="5"/>',
    "a number twice": f'<box label="car" {BOX} xtl="1"/>',
    "an end of another": '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4"></boxes>',
    "no end": f'<box label="car" {BOX}>',
    "a bare ampersand": f'<box label="a & b" {BOX}/>',
    "a bare bracket": f'<box label="a < b" {BOX}/>',
    "an end in text": f'<box label="car" {BOX}>]]></box>',
    "a control character": f'<box label="car\x01" {BOX}/>',
    "no space": f'<box label="car"source="manual" {BOX}/>',
}
INSIDE = {
    "nothing": "",
    "a text": '<attribute name="color">red</attribute>',
    "two": '<attribute name="age">7</attribute><attribute name="parked">true</attribute>',
    "a flag of ours": '<attribute name="difficult">true</attribute>\n<attribute name="color">a &lt; b</attribute>',
    "a name of ours": '<attribute name="occluded">true</attribute><attribute name="parked">false</attribute>',
    "none known": '<attribute name="mood">null</attribute>',
}
NOTED_INSIDE = {
    "twice": '<attribute name="age">7</attribute><attribute name="age">8</attribute>',
    "an element": "<wobble/>",
    "kept by this program": "<nucleus_convert>{}</nucleus_convert>",
}


@pytest.fixture(autouse=True)
def _as_if_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was compiled nobody takes this way, but it leads to the same place."""
    if scan.quick is None:
        monkeypatch.setattr(scan, "quick", scan)


def with_inside(element: str, inside: str) -> str:
    """The element with something more within."""
    tag = element[1:].partition(" ")[0]
    if element.endswith("/>"):
        return f"{element[:-2]}>{inside}</{tag}>"
    return element.replace(f"</{tag}>", f"{inside}</{tag}>")


def document(*images: list[str], subset: str = "train", attributes: str = "") -> str:
    """A file of images of such elements, a line each."""
    text = "".join(
        f'  <image id="{i}" name="a/{i}.jpg" width="100" height="80"{attributes}>\n{chr(10).join(inside)}\n</image>\n'
        for i, inside in enumerate(images)
    )
    return f"<annotations>\n<version>1.1</version>\n{META.format(subset=subset)}{text}</annotations>\n"


def read(folder: Path, text: str) -> LabelSet:
    path = folder / "annotations.xml"
    path.write_text(text, encoding="utf-8", newline="")
    return nc.read(path, "cvat")


def sketches(labels: LabelSet) -> int:
    records = labels.outlined()
    return sum(len(one.commons) for record in records for one in record.annotations if isinstance(one, Sketches))


def drawn(labels: LabelSet) -> list[Record]:
    return [drawn_record(record) for record in labels.outlined()]


def outcome(folder: Path, text: str, **options: Any) -> dict[str, Any]:
    """Every file that a conversion writes, its log, and its error."""
    folder.mkdir(exist_ok=True)
    path = folder / "annotations.xml"
    path.write_text(text, encoding="utf-8", newline="")
    target, log = folder / "out", folder / "log.jsonl"
    made: dict[str, Any] = {}
    try:
        report = nc.convert(
            path, target, source="cvat", mask_url_prefix="m/", overwrite=True, verify="all",
            log=log if options.pop("logged", False) else None, **options,
        )  # fmt: skip
        report.ledger.check()
        made["report"] = report.to_json()
        for file in sorted(target.rglob("*")):
            if file.is_file():
                made[file.relative_to(target).as_posix()] = file.read_bytes()
    except ConvertError as error:
        made["error"] = (type(error), str(error), error.where, error.hint)
    if log.exists():
        made["log"] = log.read_bytes()
    return made


def both_ways(folder: Path, text: str, **options: Any) -> dict[str, Any]:
    """What a conversion gives, which is the same without any short way, and without the compiled module."""
    quick = outcome(folder, text, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(Images, "outlined")
        patch.setattr(Assembly, "standing", lambda *_: None)
        patch.setattr(Fit, "_alone", lambda *_: None)
        assert outcome(folder, text, **options) == quick
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nucleus_convert.formats.cvat.images", scan.plain_images)
        assert outcome(folder, text, **options) == quick
    return quick


ALL = {**PLAIN, **OTHERS}


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE.keys())
@pytest.mark.parametrize("element", ALL.values(), ids=ALL.keys())
def test_drawn_sketches_are_the_annotations(tmp_path: Path, element: str, inside: str) -> None:
    labels = read(tmp_path, document([with_inside(element, inside), ALL["a box"]], []))
    assert drawn(labels) == list(labels)
    plain = element in PLAIN.values() and not (inside and element.startswith("<skeleton"))
    assert sketches(labels) in ((2,) if plain else (0, 1))  # none of what has something to be said of


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE.keys())
def test_the_same_files(tmp_path: Path, inside: str) -> None:
    images = [[with_inside(element, inside), element] for element in ALL.values()]
    made = both_ways(tmp_path, document(*images, list(ALL.values()), []), logged=True)
    assert "error" not in made
    assert made["annotations.jsonl"].count(b"\n") > len(ALL)


@pytest.mark.parametrize("on_error", ["fail", "skip", "quarantine"])
@pytest.mark.parametrize("element", [*NOTED.values(), *WRONG.values(), *BROKEN.values()],
                         ids=[*NOTED, *WRONG, *BROKEN])  # fmt: skip
def test_the_same_findings_and_errors_with_their_lines(tmp_path: Path, element: str, on_error: str) -> None:
    images = [[PLAIN["a box"]] for _ in range(70)]
    images[66] = [PLAIN["a polygon"], element, PLAIN["a box"]]
    made = both_ways(tmp_path, document(*images), on_error=on_error, logged=True)
    refused = element in BROKEN.values() or (element in WRONG.values() and on_error == "fail")
    assert ("error" in made) == refused
    lines = document(*images).split("\n")
    if element in BROKEN.values():
        assert made["error"][2].line is not None
    elif refused:
        assert element in lines[made["error"][2].line - 1]


@pytest.mark.parametrize("inside", NOTED_INSIDE.values(), ids=NOTED_INSIDE.keys())
def test_the_same_findings_within_a_shape(tmp_path: Path, inside: str) -> None:
    both_ways(tmp_path, document([with_inside(PLAIN["a box"], inside)], [PLAIN["a box"]]), on_error="skip")


@pytest.mark.parametrize(
    "text",
    [
        document([PLAIN["a box"]], attributes=' subset="val" task_id="3"'),
        document([PLAIN["a box"]], attributes=' wobble="3"'),
        document([PLAIN["a box"]]).replace('name="a/', 'name="é&amp;/'),
        document([PLAIN["a box"]]).replace('id="0"', 'id="007"'),
        document([PLAIN["a box"]]).replace(' name="a/0.jpg"', ""),
        document([PLAIN["a box"]]).replace('width="100"', 'width="0"'),
        document([PLAIN["a box"]]).replace("  <image", "<wobble/>  <image"),
        document([PLAIN["a box"]], [PLAIN["a box"]]).replace('name="a/1.jpg"', 'name="a/0.jpg"'),
        document([PLAIN["a box"], "<!-- <image> -->", PLAIN["a box"]]),
        document([PLAIN["a box"], "null"]),
        document([PLAIN["a box"]]).replace("\n", "\r\n"),
        document([PLAIN["a box"]]).replace("<name>car</name>", "<name>null</name>").replace('"car"', '"null"'),
        document([PLAIN["a box"]]).replace("train", ""),
        document(),
    ],
)
def test_images_of_every_kind(tmp_path: Path, text: str) -> None:
    both_ways(tmp_path, text, on_error="skip")


@pytest.mark.parametrize("options", [
    {"segmentation": "polygon"}, {"segmentation": "instance"}, {"shapes": "box"}, {"reference_id": "id"},
    {"predictions": True}, {"image_root": "https://e.com/"}, {"fail_on": "loss"},
])  # fmt: skip
def test_the_same_with_options(tmp_path: Path, options: Any) -> None:
    if "shapes" in options:
        options = {"shapes": ("box", "polygon")}
    both_ways(tmp_path, document(list(ALL.values()), [PLAIN["a box"]]), **options)


def test_sketches_are_only_for_those_who_know_them(tmp_path: Path) -> None:
    labels = read(tmp_path, document(list(PLAIN.values())))
    assert sketches(labels) == sketches(fitted(labels, SPEC, Report())) == len(PLAIN)
    assert sketches(labels.map(lambda record: record)) == 0
    assert sketches(nc.read(tmp_path / "annotations.xml", "cvat", predictions=True)) == 0


def test_plain_elements_are_written_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the tests above compare a way with itself."""
    lines = SketchLines.lines
    made: list[bool] = []

    def noted(self: SketchLines, sketches: Sketches, reference: bytes) -> Any:
        found = lines(self, sketches, reference)
        made.append(found is not None)
        return found

    monkeypatch.setattr(SketchLines, "lines", noted)
    outcome(tmp_path, document(*[[element] for element in PLAIN.values()], [PLAIN["a tag"]] * 2))
    assert made == [True] * len(PLAIN) + [False]  # of two tags the second is written otherwise


def test_items_can_be_had_without_annotations(tmp_path: Path) -> None:
    labels = read(tmp_path, document(*[[element] for element in ALL.values()], attributes=' subset="val" wobble="3"'))
    for some in (labels, fitted(labels, SPEC, Report())):
        assert [record.item for record in some.bare()] == [record.item for record in some]
        assert not any(record.annotations for record in some.bare())
    changed = labels.map(lambda record: record if record.annotations else None)
    assert changed.bare() is changed  # what others do with an item may depend on its annotations


def test_workers_make_no_difference(tmp_path: Path) -> None:
    images = [[element] for element in ALL.values()] * 60
    text = document(*images)
    assert outcome(tmp_path, text, workers=2) == outcome(tmp_path, text, workers=1)


def test_a_file_whose_stretches_are_all_odd_is_read_the_other_way(tmp_path: Path) -> None:
    labels = read(tmp_path, document(*[[NOTED["an unknown label"]]] * 1000, *[[PLAIN["a box"]]] * 100))
    source: Any = labels.outlined().source
    assert sum(len(record.annotations) for record in source(Report(), 0, None)) == 1100
    assert not source.sketches.worthwhile


STABLE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = st.one_of(st.decimals(-99, 999, places=2).map(str), st.integers(-9, 999).map(str))
POINTS = st.lists(st.builds("{},{}".format, NUMBERS, NUMBERS), min_size=3, max_size=6).map(";".join)
SAID = st.lists(
    st.sampled_from(['source="auto"', 'occluded="1"', 'z_order="2"', 'group_id="5"', 'occluded="0"', 'wobble="1"']),
    unique_by=lambda text: text.partition("=")[0], max_size=3,
)  # fmt: skip


@st.composite
def elements(draw: Any) -> str:
    if draw(st.integers(0, 3)) == 0:
        every = [*ALL.values(), *NOTED.values()] + ([*WRONG.values()] if draw(st.integers(0, 9)) == 0 else [])
        return str(draw(st.sampled_from(every)))
    tag = draw(st.sampled_from(["box", "polygon", "polyline"]))
    left, top, right, bottom = (draw(NUMBERS) for _ in range(4))
    place = f'xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"' if tag == "box" else f'points="{draw(POINTS)}"'
    said = [text for text in draw(SAID) if text != 'wobble="1"' or draw(st.integers(0, 5)) == 0]
    label = draw(st.sampled_from(["car", "d&quot;og é"]))
    element = f'<{tag} label="{label}" {" ".join([*said, place])}/>'
    return with_inside(element, draw(st.sampled_from([*INSIDE.values()])))


@STABLE
@given(
    st.lists(st.lists(elements(), max_size=5), max_size=5),
    st.sampled_from(["fail", "skip", "quarantine"]),
    st.sampled_from(["train", ""]),
)
def test_any_file_gives_the_same_both_ways(tmp_path: Path, images: list[list[str]], on_error: str, subset: str) -> None:
    both_ways(tmp_path, document(*images, subset=subset), on_error=on_error, logged=True)

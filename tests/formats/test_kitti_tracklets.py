"""Raw drives' tracklets: both dialects, back to the text they came from, and hostile files."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.converters.errors import ConvertError, MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.formats.kitti import tracklets, trackletxml
from nucleus_convert.formats.kitti.tracklets import Box, Document, Pose, Tracklet


def pose_text(values: dict[str, str], mark: str = "", outer: str = "\t\t\t", step: str = "\t") -> str:
    inside = "".join(f"{outer}{step}<{name}>{text}</{name}>\n" for name, text in values.items())
    return f"{outer}<item{mark}>\n{inside}{outer}</item>\n"


FIRST = dict.fromkeys(tracklets.FIELDS, "-1")
FIRST |= {"tx": "12", "ty": "-3.5", "tz": "-1.7", "rx": "0", "ry": "0", "rz": "0.3", "state": "2", "occlusion": "0"}
SECOND = FIRST | {"tx": "12.050000000000001", "ty": "-3.5e+00", "rz": "4.712389"}
DEVKIT = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>
<!DOCTYPE boost_serialization>
<boost_serialization signature="serialization::archive" version="9">
<tracklets class_id="0" tracking_level="0" version="0">
\t<count>2</count>
\t<item_version>1</item_version>
\t<item class_id="1" tracking_level="0" version="1">
\t\t<objectType>Car</objectType>
\t\t<h>1.5</h>
\t\t<w>1.6</w>
\t\t<l>4.0</l>
\t\t<first_frame>3</first_frame>
\t\t<poses class_id="2" tracking_level="0" version="0">
\t\t\t<count>2</count>
\t\t\t<item_version>2</item_version>
{pose_text(FIRST, ' class_id="3" tracking_level="0" version="2"')}{pose_text(SECOND)}\t\t</poses>
\t\t<finished>1</finished>
\t</item>
\t<item>
\t\t<objectType>Person (sitting) &amp; dog</objectType>
\t\t<h>1.2</h>
\t\t<w>0.6</w>
\t\t<l>0.8</l>
\t\t<first_frame>0</first_frame>
\t\t<poses>
\t\t\t<count>1</count>
\t\t\t<item_version>2</item_version>
{pose_text(FIRST)}\t\t</poses>
\t\t<finished>1</finished>
\t</item>
</tracklets>
</boost_serialization>
"""
# What CVAT writes: extents along the heading, across and up as w, h, l, and the centre.
ELSEWHERE = {
    "tx": "1.0",
    "ty": "2.0",
    "tz": "3.0",
    "rx": "0.0",
    "ry": "0.0",
    "rz": "0.5",
    "state": "2",
    "occlusion": "0",
}
ELSEWHERE |= dict.fromkeys(tracklets.CVAT_FIELDS[8:], "-1")
ELSEWHERE_TEXT = pose_text(ELSEWHERE, ' version="1" tracking_level="0" class_id="3"', " " * 8, "  ")
CVAT = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>
<!DOCTYPE boost_serialization>
<boost_serialization version="9" signature="serialization::archive">
  <tracklets version="0" tracking_level="0" class_id="0">
    <count>1</count>
    <item_version>1</item_version>
    <item version="1" tracking_level="0" class_id="1">
      <objectType>car</objectType>
      <h>1.6</h>
      <w>4.0</w>
      <l>1.5</l>
      <first_frame>0</first_frame>
      <poses version="0" tracking_level="0" class_id="2">
        <count>1</count>
        <item_version>0</item_version>
{ELSEWHERE_TEXT}      </poses>
      <finished>1</finished>
    </item>
  </tracklets>
</boost_serialization>
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tracklet_labels.xml"


def load(path: Path, text: str) -> Document:
    path.write_bytes(text.encode("utf-8"))
    return trackletxml.load(path, "tracklet_labels.xml")


def dumped(document: Document) -> str:
    return "".join(tracklets.dump(document.tracklets, document.style))


def test_devkit(path: Path) -> None:
    document = load(path, DEVKIT)
    assert document.odd == ()
    assert tracklets.dialect(document) == "devkit"
    car, person = document.tracklets
    assert (car.label, car.first_frame, car.line) == ("Car", 3, 7)
    assert person.label == "Person (sitting) & dog"
    first, second = tracklets.boxes(car, "devkit")
    assert first == pytest.approx((12, -3.5, -0.95, 4.0, 1.6, 1.5, 0.3), rel=0, abs=1e-12)
    assert second.rz == 4.712389
    assert car.poses[0].number("state") == 2
    assert car.poses[0].number("nothing") is None


def test_cvat(path: Path) -> None:
    document = load(path, CVAT)
    assert tracklets.dialect(document) == "cvat"
    (car,) = document.tracklets
    assert tracklets.boxes(car, "cvat") == [Box(1, 2, 3, length=4.0, width=1.6, height=1.5, rz=0.5)]
    assert tracklets.boxes(car, "datumaro") == [Box(1, 2, 3, length=1.6, width=4.0, height=1.5, rz=0.5)]


@pytest.mark.parametrize("text", [DEVKIT, CVAT, DEVKIT.replace("\n", "\r\n"), "\n".join([DEVKIT, "<!-- end -->", ""])])
def test_text_comes_back(path: Path, text: str) -> None:
    assert dumped(load(path, text)) == text


def test_no_tracklets_come_back(path: Path) -> None:
    text = re.sub(r"\n\t<item .*</item>\n", "\n", DEVKIT.replace("<count>2", "<count>0"), flags=re.DOTALL)
    document = load(path, text)
    assert document.tracklets == ()
    assert dumped(document) == text
    filled = "".join(tracklets.dump(load(path, DEVKIT).tracklets, document.style))
    assert filled == DEVKIT


def test_dialect_by_its_traces(path: Path) -> None:
    document = load(path, DEVKIT)
    assert tracklets.dialect(document, frame_list=True) == "cvat"
    assert tracklets.dialect(load(path, DEVKIT.replace("<item_version>2", "<item_version>0"))) == "cvat"
    # Every amt_ field is -1 above, which KITTI's own files have too.
    assert all(pose.number("amt_border_l") == -1 for pose in document.tracklets[0].poses)
    assert tracklets.dialect(load(path, DEVKIT.replace("<poses>", "<poses >"))) == "devkit"
    assert tracklets.dialect(document._replace(tracklets=())) == "devkit"


@pytest.mark.parametrize("quote", ['"', "'"])
def test_standalone_true_is_mended_and_said(path: Path, quote: str) -> None:
    document = load(path, DEVKIT.replace('standalone="yes"', f"standalone={quote}true{quote}"))
    assert document.odd == (('an XML declaration with standalone="true" (read as "yes")', 1),)
    text = dumped(document)
    ET.fromstring(text)
    assert re.sub(r'"yes"\s*\?', '"yes" ?', text) == DEVKIT


def test_odd_things_are_said(path: Path) -> None:
    text = DEVKIT.replace("<count>1<", "<count>9<").replace("</tracklets>", "<more>x</more></tracklets>")
    document = load(path, text)
    assert [what for what, _ in document.odd] == [
        "a count of 9 where there are 1 poses",
        "an element <more>, which tracklets do not have (left out)",
    ]
    assert text.splitlines()[document.odd[0][1] - 1].strip() == "</poses>"


def test_unknown_fields_are_kept(path: Path) -> None:
    text = DEVKIT.replace("\t\t<finished>", "\t\t<colour>red</colour>\n\t\t<finished>", 1)
    text = text.replace("\t\t\t</item>", "\t\t\t\t<speed>x</speed>\n\t\t\t</item>", 1)
    document = load(path, text)
    assert document.tracklets[0].others == {"colour": "red"}
    assert document.tracklets[0].poses[0].fields == (*tracklets.FIELDS, "speed")
    assert dumped(document) == text


def test_older_versions_have_less(path: Path) -> None:
    short = pose_text({name: FIRST[name] for name in tracklets.FIELDS[:10]})
    text = DEVKIT.replace(pose_text(FIRST), short).replace("\t\t<finished>1</finished>\n", "")
    document = load(path, text)
    assert document.tracklets[1].finished is None
    assert document.tracklets[1].poses[0].number("amt_border_l") is None
    assert dumped(document) == text


CAR = DEVKIT[DEVKIT.index("<item class") : DEVKIT.index("\n\t<item>\n\t\t<objectType>Person")]


@pytest.mark.parametrize(
    ("find", "put", "line", "message"),
    [
        ("<h>1.5</h>", "<h>high</h>", 9, "<h> is no finite number: 'high'"),
        ("<h>1.5</h>", "<h>1.5</h><h>1.5</h>", 9, "<h> stands twice"),
        ("<h>1.5</h>", "", 7, "the tracklet has no <h>"),
        ("<h>1.5</h>", "<h>nan</h>", 9, "<h> is no finite number: 'nan'"),
        ("<h>1.5</h>", "<h><item/></h>", 9, "<item> stands inside <h>, which is a single value"),
        ("<tx>12</tx>", "<tx>1e400</tx>", 17, "<tx> is no finite number: '1e400'"),
        ("<tx>12</tx>", "<tx>12</tx><item><tx/></item>", 17, "<tx> stands inside <item>, which is a single value"),
        ("\t\t\t\t<tx>12</tx>\n", "", 16, "the pose has no <tx>"),
        ("<rz>0.3</rz>", "<rz><deep/></rz>", 22, "<deep> stands inside <rz>, which is a single value"),
        ("<first_frame>3<", "<first_frame>-3<", 7, "<first_frame> is no frame (0, 1, 2, …): '-3'"),
        ("<first_frame>3<", "<first_frame>999999<", 7, "<first_frame> leads to frame 1,000,000, beyond 999,999"),
        ("<objectType>Car<", "<objectType><", 7, "the tracklet has no <objectType>"),
        ("<objectType>Car<", f"<objectType>{'x' * 2000}<", 8, "<objectType> has 2,000 characters"),
        ("<poses class", "words &amp; <poses class", 13, "a text between elements: 'words &'"),
        ("<finished>1</finished>", "</item><item>", 51, "the tracklet has no <objectType>"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_damaged_tracklet_spoils_no_other(
    path: Path, find: str, put: str, line: int, message: str, first: bool
) -> None:
    """The first of three, or the second."""
    good = load(path, DEVKIT)
    head, tail = DEVKIT.split(CAR)
    assert find in CAR
    bad = CAR.replace(find, put, 1)
    both = [bad, CAR] if first else [CAR, bad]
    text = (head + "\n\t".join(both) + tail).replace("<count>2<", "<count>3<", 1)
    if put == "</item><item>":  # two, of which the first is whole
        bad = bad[bad.index("</item><item>") + len("</item>") :]
        text = text.replace("<count>3<", "<count>4<", 1)
    document = load(path, text)
    assert [one.label for one in document.tracklets if one.finished] == ["Car", "Person (sitting) & dog"]
    assert document.style.tail == good.style.tail
    assert document.odd == ()
    [found] = document.bad
    moved = 0 if first else CAR.count("\n") + 1
    assert (found.error.message, found.text) == (message, bad)
    assert found.error.where == Where(file="tracklet_labels.xml", line=line + moved)


def test_no_tracklet_is_whole(path: Path) -> None:
    document = load(path, DEVKIT.replace("<h>", "<height>").replace("</h>", "</height>"))
    assert [bad.error.message for bad in document.bad] == ["the tracklet has no <h>"] * 2
    assert document.tracklets == ()
    empty = DEVKIT[: DEVKIT.index("\n\t<item ")] + "\n</tracklets>\n</boost_serialization>\n"
    assert dumped(document) == empty.replace("<count>2", "<count>0")


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        ("<count>2<", "<count><a/>2<", "<a> stands inside <count>"),
        ("<item_version>1<", "words<item_version>1<", "a text between elements: 'words'"),
        ("<h>1.5</h>", "<h>1.5</w>", "not well-formed XML: mismatched tag"),
        ("<h>1.5</h>", "<h><a><a><a><a><a/></a></a></a></a></h>", "nested more than 8 deep"),
        ("</tracklets>", "", "not well-formed XML: mismatched tag"),
        ("boost_serialization>", "boost_serialization SYSTEM 'file:///etc/passwd'>", "document type or entities"),
        ("boost_serialization>", "boost_serialization [<!ENTITY a 'aaaa'>]>", "document type or entities"),
        ("<boost_serialization ", "<annotations ", "expected the root element <boost_serialization>"),
        ('encoding="UTF-8"', 'encoding="nonsense"', "not well-formed XML: unknown encoding|encoding cannot be read"),
    ],
)
def test_damage_is_named_with_its_line(path: Path, find: str, put: str, message: str) -> None:
    assert find in DEVKIT
    with pytest.raises((MalformedFileError, SchemaError), match=message) as caught:
        load(path, DEVKIT.replace(find, put, 1))
    assert re.match(r"tracklet_labels\.xml:\d+: ", str(caught.value))


def test_depth_is_bounded(path: Path) -> None:
    with pytest.raises(SchemaError, match="stands inside"):
        load(path, "<boost_serialization>" + "<a>" * 100_000)


def test_files_that_are_none(path: Path) -> None:
    with pytest.raises(ReadError, match="cannot be read"):
        trackletxml.load(path)
    with pytest.raises(MalformedFileError, match="the file is empty"):
        load(path, "")
    with path.open("wb") as file:
        file.truncate(trackletxml.MAX_BYTES + 1)
    with pytest.raises(MalformedFileError, match="more than tracklets can need"):
        trackletxml.load(path)


numbers = st.floats(-1e6, 1e6).map(repr)
poses = st.builds(
    lambda values: Pose(tracklets.FIELDS, tuple(values)),
    st.lists(numbers, min_size=len(tracklets.FIELDS), max_size=len(tracklets.FIELDS)),
)
objects = st.builds(
    lambda label, size, first, poses: Tracklet(label=label, size=size, first_frame=first, poses=tuple(poses)),
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20),
    st.tuples(numbers, numbers, numbers),
    st.integers(0, 10**6 - 3),
    st.lists(poses, max_size=3),
)


@given(st.lists(objects, max_size=3))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, wanted: list[Tracklet]) -> None:
    text = "".join(tracklets.dump(tracklets.marked(wanted)))
    path = tmp_path_factory.mktemp("drive") / "tracklet_labels.xml"
    document = load(path, text)
    assert dumped(document) == text
    assert document.odd == ()
    assert [(one.label, one.size, one.first_frame) for one in document.tracklets] == [
        (one.label, one.size, one.first_frame) for one in wanted
    ]
    assert [[pose.texts for pose in one.poses] for one in document.tracklets] == [
        [pose.texts for pose in one.poses] for one in wanted
    ]
    # Another reader of XML sees the same.
    items = ET.fromstring(text.encode("utf-8")).findall("./tracklets/item")
    assert [item.findtext("objectType") for item in items] == [one.label for one in wanted]
    marks = [found for element in ET.fromstring(text).iter() if (found := element.get("class_id"))]
    assert marks == [str(number) for number in range(len(marks))]


@pytest.mark.parametrize("of", ["devkit", "cvat", "datumaro"])
@given(st.tuples(*[st.floats(-100, 100)] * 3), st.tuples(*[st.floats(0.1, 20)] * 3), st.floats(-4, 4))
def test_boxes_there_and_back(
    of: tracklets.Dialect, centre: tuple[float, ...], size: tuple[float, ...], rz: float
) -> None:
    box = Box(*centre, *size, rz)
    extents, numbers = tracklets.placed(box, of)
    texts = tuple(repr(extent) for extent in extents)
    pose = Pose(tuple(numbers), tuple(map(repr, numbers.values())))
    one = Tracklet(label="Car", size=(texts[0], texts[1], texts[2]), first_frame=0, poses=(pose,))
    assert tracklets.boxes(one, of) == [pytest.approx(box, rel=0, abs=1e-12)]


@given(st.lists(st.sampled_from([*re.split(r"(?<=>)", DEVKIT)[:60], "<", "&x;", "\x00", "</item>", "é"]), max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    path = tmp_path_factory.mktemp("drive") / "tracklet_labels.xml"
    try:
        document = load(path, "".join(pieces))
    except ConvertError as error:
        assert "tracklet_labels.xml" in str(error)  # noqa: PT017
    else:
        assert isinstance(document, Document)

"""CVAT files that are wrong, or meant to harm: a clear error or finding with file and line, never a traceback."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nucleus_convert as nc
from nucleus_convert.converters.codes import Severity
from nucleus_convert.converters.errors import ConvertError, ReadError, UnrepresentableError
from nucleus_convert.converters.report import Report

META = """<meta><task><name>t</name><size>10</size><mode>annotation</mode>
<start_frame>0</start_frame><stop_frame>9</stop_frame><frame_filter></frame_filter>
<labels><label><name>car</name><type>any</type><attributes>
<attribute><name>color</name><mutable>False</mutable><input_type>select</input_type>
<default_value>red</default_value><values>red
blue</values></attribute></attributes></label>
<label><name>dog</name><type>any</type><attributes></attributes></label></labels>
<original_size><width>100</width><height>80</height></original_size></task></meta>
"""
META_LINES = META.count("\n")
BOX = '<box label="car" occluded="0" xtl="1" ytl="2" xbr="5" ybr="6" z_order="0"/>'


def images(*inside: str, meta: str = META, image: str = 'id="0" name="a.jpg" width="100" height="80"') -> str:
    """A file of one image; the image stands on line META_LINES + 2, what is in it one line each after that."""
    return "\n".join([f"<annotations>\n{meta}<image {image}>", *inside, "</image>\n</annotations>"])


def video(*inside: str, meta: str = META, track: str = 'id="0" label="car"') -> str:
    """A file of one track; lines as for images."""
    meta = meta.replace("<mode>annotation", "<mode>interpolation")
    return "\n".join([f"<annotations>\n{meta}<track {track}>", *inside, "</track>\n</annotations>"])


FIRST = META_LINES + 3
"""The line of the first thing in the image or track."""


def key(frame: Any, **fields: Any) -> str:
    """A keyframe of a box."""
    given = {"keyframe": 1, "outside": 0, "occluded": 0, "xtl": 1, "ytl": 2, "xbr": 5, "ybr": 6, "z_order": 0}
    text = " ".join(f'{name}="{value}"' for name, value in {**given, **fields}.items())
    return f'<box frame="{frame}" {text}/>'


def run(tmp_path: Path, text: str | bytes, **options: Any) -> Report:
    """Convert a file to Nucleus; the run must leave its balance closed."""
    source = tmp_path / "annotations.xml"
    source.write_bytes(text.encode() if isinstance(text, str) else text)
    return nc.convert(source, tmp_path / "out", source="cvat", overwrite=True, **options)


def refused(tmp_path: Path, text: str | bytes, **options: Any) -> ConvertError:
    """The error that a file is refused with."""
    with pytest.raises(ConvertError) as caught:
        run(tmp_path, text, **options)
    assert not (tmp_path / "out").exists()
    assert "annotations.xml" in str(caught.value)
    return caught.value


def line(error: ConvertError) -> int | None:
    """The line an error speaks of."""
    return error.where.line if error.where is not None else None


@contextmanager
def bounded(megabytes: int) -> Iterator[None]:
    """Fail if what is inside asks Python for more memory."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes << 20, f"{peak / 2**20:.0f} MiB"


def findings(report: Report) -> dict[str, int]:
    """What was found, by its words, and how often."""
    return {f"{finding.code}: {finding.what}": finding.count for finding in report.sorted()}


# --- XML -----------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha" * 10}">' for n in range(10))


@pytest.mark.parametrize(
    "prolog",
    [
        f"<!DOCTYPE annotations [{LAUGHS}]>",
        '<!DOCTYPE annotations [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE annotations [<!ENTITY % x SYSTEM "http://localhost:1/x"> %x;]>',
        '<!DOCTYPE annotations SYSTEM "http://localhost:1/x.dtd">',
        "<!DOCTYPE annotations>",
    ],
)
def test_entities_and_document_types_are_refused_before_any_is_read(tmp_path: Path, prolog: str) -> None:
    text = images(BOX.replace('label="car"', 'label="&l9;"' if "l9" in prolog else 'label="car"'))
    error = refused(tmp_path, f'<?xml version="1.0"?>\n{prolog}\n{text}')
    assert line(error) == 2
    assert "document type" in error.message
    assert "root:" not in str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (images(BOX).replace("</image>\n", ""), FIRST + 1),
        (images('<box label="car" xtl="1'), None),
        (images("<box label=car/>"), FIRST),
        (images(BOX, '<box label="&who;"/>'), FIRST + 1),
        (images('<box label="car" label="dog"/>'), FIRST),
        (images(BOX)[:-30], None),
        ("", None),
        ("\x00\x01", None),
        ("not xml at all", 1),
        (images(BOX) + "<annotations/>", None),
    ],
)
def test_broken_xml_is_refused_with_its_line(tmp_path: Path, text: str, expected: int | None) -> None:
    error = refused(tmp_path, text)
    assert line(error) is not None or not text
    assert expected is None or line(error) == expected


def test_something_else_than_annotations_is_refused(tmp_path: Path) -> None:
    assert "annotations" in str(refused(tmp_path, "<annotation><object/></annotation>"))


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    deep = 100_000
    error = refused(tmp_path, images("<a>" * deep + "</a>" * deep))
    assert line(error) == FIRST
    assert "deep" in error.message


@pytest.mark.parametrize("where", ["image", "head"])
def test_one_endless_token_is_refused_without_holding_it(tmp_path: Path, where: str) -> None:
    filler = "1,2;" * (18 << 20)  # 72 MiB
    text = images(f'<polygon label="car" points="{filler}"/>')
    if where == "head":
        text = images(BOX, meta=META.replace("<name>t</name>", f"<name>{filler}</name>"))
    source = tmp_path / "annotations.xml"
    source.write_text(text)
    del text, filler
    with bounded(300), pytest.raises(ConvertError) as caught:
        nc.convert(source, tmp_path / "out", source="cvat")
    assert "annotations.xml" in str(caught.value)


def test_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    text = images(BOX.replace('z_order="0"', 'z_order="0" source="M\xfcller"'))
    run(tmp_path, text.encode("utf-8-sig"))
    assert "M\xfcller" in (tmp_path / "out" / "annotations.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_encodings_that_cvat_does_not_write_are_named(tmp_path: Path, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n' + images(BOX)
    assert "UTF-8" in str(refused(tmp_path, text.encode(encoding)))


@pytest.mark.parametrize("hidden", ["<!-- {} -->", "<![CDATA[{}]]>", "<?php {} ?>"])
def test_what_looks_like_an_image_in_a_comment_is_none(tmp_path: Path, hidden: str) -> None:
    fake = '<image id="7" name="fake.jpg" width="1" height="1"><box/></image>'
    text = images(BOX).replace("</annotations>", hidden.format(fake) + "\n</annotations>")
    run(tmp_path, text, on_error="skip")
    assert "fake.jpg" not in (tmp_path / "out" / "items.jsonl").read_text()


# --- the unknown ---------------------------------------------------------------------------------------


def test_unknown_elements_and_attributes_are_named_counted_and_stay_where_they_are(tmp_path: Path) -> None:
    text = images(
        '<spline label="car" xtl="9" points="8,8;9,9"><attribute name="color">blue</attribute><deep/></spline>',
        BOX,
        '<box label="dog" wobble="77" occluded="0" xtl="10" ytl="20" xbr="30" ybr="40"/>',
        BOX,
        "<spline/>",
    )
    report = run(tmp_path, text)
    said = "\n".join(f"{what} {count}" for what, count in findings(report).items())
    assert "spline" in said
    out = (tmp_path / "out" / "annotations.jsonl").read_text().splitlines()
    assert len(out) == 3
    assert "blue" not in "".join(out)
    assert [("wobble" in row) for row in out] == [False, True, False] or "wobble" in said
    nc.convert(tmp_path / "out", tmp_path / "back.xml", source="nucleus", target="cvat")
    back = (tmp_path / "back.xml").read_text() if (tmp_path / "back.xml").is_file() else ""
    assert "wobble" in said or 'wobble="77"' in back


def test_unknown_elements_elsewhere_do_not_leak_into_a_neighbour(tmp_path: Path) -> None:
    text = images(BOX).replace("<image ", "<strange><image_id>5</image_id><name>x</name></strange>\n<image ")
    report = run(tmp_path, text)
    assert "strange" in "\n".join(findings(report))
    assert "a.jpg" in (tmp_path / "out" / "items.jsonl").read_text()


def test_an_attribute_the_label_does_not_have_is_kept_or_named(tmp_path: Path) -> None:
    text = images(BOX.replace("/>", '><attribute name="mood">sad</attribute></box>'))
    report = run(tmp_path, text)
    assert "sad" in (tmp_path / "out" / "annotations.jsonl").read_text() or "mood" in "\n".join(findings(report))


# --- values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        '<box label="car" occluded="0" xtl="1" ytl="2" xbr="5"/>',
        '<box label="car" occluded="0" xtl="one" ytl="2" xbr="5" ybr="6"/>',
        '<box label="car" occluded="0" xtl="nan" ytl="2" xbr="5" ybr="6"/>',
        '<box label="car" occluded="0" xtl="1e999" ytl="2" xbr="5" ybr="6"/>',
        '<box label="car" occluded="0" xtl="1_0" ytl="2" xbr="50" ybr="6"/>',
        '<box label="car" occluded="0" xtl="1" ytl="2" xbr="5" ybr="6" rotation="inf"/>',
        '<polygon label="car" occluded="0" points="1,2;3"/>',
        '<polygon label="car" occluded="0" points="1,2;3,4,5"/>',
        '<polygon label="car" occluded="0" points=""/>',
        '<polygon label="car" occluded="0" points="1,2;nan,4;5,6"/>',
        '<polygon label="car" occluded="0" points="1.E999,2.0;3.0,4.0;5.0,6.0"/>',
        '<polygon label="car" occluded="0" points="٣.0,2.0;3.0,4.0;5.0,6.0"/>',
        '<polygon label="car" occluded="0" points="1_0.0,2.0;3.0,4.0;5.0,6.0"/>',
        '<points label="car" occluded="0"/>',
        '<ellipse label="car" occluded="0" cx="1" cy="2" rx="3"/>',
        '<cuboid label="car" occluded="0" xtl1="1" ytl1="1"/>',
        '<mask label="car" occluded="0" rle="1, 2, 3" left="0" top="0" width="2" height="2"/>',
        '<mask label="car" occluded="0" rle="1, -2, 5" left="0" top="0" width="2" height="2"/>',
        '<mask label="car" occluded="0" rle="4" left="0" top="0" width="-2" height="-2"/>',
        '<mask label="car" occluded="0" rle="1, x" left="0" top="0" width="2" height="2"/>',
        '<mask label="car" occluded="0" rle="1_0, 6" left="0" top="0" width="4" height="4"/>',
        '<mask label="car" occluded="0" rle="٣, 1" left="0" top="0" width="2" height="2"/>',
        '<mask label="car" occluded="0" rle="" left="0" top="0" width="2" height="2"/>',
        '<mask label="car" occluded="0" rle="1" left="0" top="0" width="999999999" height="999999999"/>',
    ],
)
def test_a_shape_that_cannot_be_is_refused_or_left_out_with_its_line(tmp_path: Path, bad: str) -> None:
    text = images(BOX, bad, BOX)
    error = refused(tmp_path, text)
    assert line(error) == FIRST + 1
    report = run(tmp_path, text, on_error="quarantine")
    assert len((tmp_path / "out" / "annotations.jsonl").read_text().splitlines()) == 2
    assert [rejected.where.line for rejected in report.rejected if rejected.where] in ([FIRST + 1], [])


def test_a_wrong_run_length_says_what_was_found_and_expected(tmp_path: Path) -> None:
    bad = '<mask label="car" occluded="0" rle="1, 2, 3" left="0" top="0" width="2" height="2"/>'
    message = str(refused(tmp_path, images(bad)))
    assert "6" in message
    assert "4" in message


@pytest.mark.parametrize("size", ['width="0" height="0"', 'width="1e9" height="-4"', 'width="x" height="80"'])
def test_an_image_size_that_cannot_be_is_refused(tmp_path: Path, size: str) -> None:
    error = refused(tmp_path, images(BOX, image=f'id="0" name="a.jpg" {size}'))
    assert line(error) == META_LINES + 2


def test_a_mask_on_an_image_that_claims_to_be_huge(tmp_path: Path) -> None:
    mask = '<mask label="car" occluded="0" rle="0, 4" left="0" top="0" width="2" height="2"/>'
    text = images(mask, image='id="0" name="a.jpg" width="1000000000" height="1000000000"')
    with bounded(50):
        assert line(refused(tmp_path, text)) == FIRST


def test_a_missing_meta_is_said_and_the_shapes_are_read(tmp_path: Path) -> None:
    report = run(tmp_path, images(BOX, meta=""))
    assert report.sorted()
    assert "meta" in "\n".join(finding.what for finding in report.sorted())
    assert len((tmp_path / "out" / "annotations.jsonl").read_text().splitlines()) == 1


def test_a_label_that_meta_does_not_know_is_said_with_its_line(tmp_path: Path) -> None:
    report = run(tmp_path, images(BOX, BOX.replace("car", "cra")))
    (finding,) = [finding for finding in report.sorted() if "cra" in finding.what]
    assert finding.severity >= Severity.WARNING


def test_a_shape_without_a_label_is_refused(tmp_path: Path) -> None:
    assert line(refused(tmp_path, images(BOX.replace('label="car"', "")))) == FIRST


# --- tracks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [10, 99, 10**12, -1, "x", "1.5", ""])
def test_a_frame_out_of_range_is_refused_with_its_line(tmp_path: Path, frame: Any) -> None:
    with bounded(50):
        error = refused(tmp_path, video(key(0), key(frame)))
    assert line(error) == FIRST + 1
    assert "frame" in error.message


def test_a_frame_between_the_steps_is_refused_with_its_line(tmp_path: Path) -> None:
    meta = META.replace("<frame_filter></frame_filter>", "<frame_filter>step=3</frame_filter>")
    meta = meta.replace("<size>10</size>", "<size>4</size>")
    error = refused(tmp_path, video(key(0), key(3), key(4), meta=meta))
    assert line(error) == FIRST + 2
    assert "steps of 3" in error.message


@pytest.mark.parametrize(
    "claim",
    ["<stop_frame>999999999999</stop_frame>", "<stop_frame>99999999</stop_frame>", "<size>99999999999</size>"],
)
def test_a_length_that_is_claimed_allocates_nothing(tmp_path: Path, claim: str) -> None:
    tag = claim[1 : claim.index(">")]
    start, end = META.index(f"<{tag}>"), META.index(f"</{tag}>") + len(tag) + 3
    with bounded(50):
        error = refused(tmp_path, video(key(0), key(3, outside=1), meta=META[:start] + claim + META[end:]))
    assert "frame" in str(error) or "size" in str(error)


@pytest.mark.parametrize(
    ("right", "wrong", "at"),
    [
        ("<size>10</size>", "<size>ten</size>", 2),
        ("<start_frame>0</start_frame>", "<start_frame> 1.5</start_frame>", 3),
        ("<stop_frame>9</stop_frame>", "<stop_frame>99999999999</stop_frame>", 3),
        ("<frame_filter></frame_filter>", "<frame_filter>step=0</frame_filter>", 3),
        ("<width>100</width>", "<width>wide</width>", META_LINES + 1),
    ],
)
def test_what_is_wrong_in_meta_is_refused_with_its_line(tmp_path: Path, right: str, wrong: str, at: int) -> None:
    assert right in META
    assert line(refused(tmp_path, video(key(0), meta=META.replace(right, wrong)))) == at


def test_the_same_frame_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    assert line(refused(tmp_path, video(key(0), key(2), key(2, xtl=0)))) == FIRST + 2


def test_frames_in_no_order_are_put_in_order(tmp_path: Path) -> None:
    run(tmp_path, video(key(2, xtl=3, xbr=7), key(0), key(3, outside=1)))
    rows = sorted((tmp_path / "out" / "annotations.jsonl").read_text().splitlines())
    assert len(rows) == 3
    assert '"x":2' in "".join(rows)


def test_a_broken_keyframe_names_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, video(key(0), key(3, xtl="a")))
    assert line(error) == FIRST + 1


# --- zips ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../annotations.xml", "/annotations.xml", "a/../../b.xml", "..\\b.xml"])
def test_a_zip_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("annotations.xml", images(BOX))
        archive.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(ConvertError, match="leads out"):
        nc.convert(path, tmp_path / "out", source="cvat")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["export.zip"]


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("annotations.xml", "w") as file:
        for _ in range(80):
            file.write(b" " * (1 << 20))
    with pytest.raises(ConvertError, match="would unpack"):
        nc.convert(path, tmp_path / "out", source="cvat")


def test_names_of_images_never_lead_out_of_the_target(tmp_path: Path) -> None:
    text = images(BOX, image='id="0" name="../../evil.jpg" width="100" height="80"')
    before = sorted(tmp_path.parent.iterdir())
    run(tmp_path, text)
    nc.convert(tmp_path / "annotations.xml", tmp_path / "voc", source="cvat", target="voc")
    assert sorted(tmp_path.parent.iterdir()) == before
    assert all(path.is_relative_to(tmp_path / "voc") for path in tmp_path.parent.rglob("evil*"))


# --- any tree ------------------------------------------------------------------------------------------

STABLE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SHAPE_TAGS = ("box", "polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton", "tag", "spline")
TEXTS = st.sampled_from(
    ["", "0", "1", "2.50", "-3", "9", "car", "dog", "joint", "body", "nan", "1e999", "true", "True", "1,2", "1,2;3,4",
     "1,2;3,4;5,6", "0, 4", "1, 4, 1", "٣", "x", "9" * 30, "default", "red", "#ff0000", "step=2", "&amp;&lt;"]
)  # fmt: skip
_NAMES = (
    "label source occluded outside keyframe frame xtl ytl xbr ybr cx cy rx ry rotation points rle left top width"
    " height z_order group_id id name subset task_id xtl1 ytl1 wobble"
)
NAMES = st.sampled_from(
    _NAMES.split()
)
_CORNERS = [f"{axis}{corner}{n}" for n in (1, 2) for corner in ("tl", "bl", "tr", "br") for axis in "xy"]
GEOMETRY = {
    "box": {"xtl": "1.00", "ytl": "2.00", "xbr": "7.50", "ybr": "9.25"},
    "polygon": {"points": "1,2;30,4;5.5,60"},
    "polyline": {"points": "1,2;30,4"},
    "points": {"points": "1,2"},
    "ellipse": {"cx": "20", "cy": "20", "rx": "5", "ry": "3"},
    "cuboid": {name: str(number) for number, name in enumerate(_CORNERS)},
    "mask": {"rle": "1, 4, 1", "left": "5", "top": "7", "width": "3", "height": "2"},
}


def escaped(text: str) -> str:
    return text if text.startswith("&") else text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def element(tag: str, attributes: dict[str, str], inside: str = "") -> str:
    given = "".join(f' {name}="{escaped(value)}"' for name, value in attributes.items())
    return f"<{tag}{given}>{inside}</{tag}>"


@st.composite
def shapes(draw: Any, depth: int = 0, *, tracked: bool = False) -> str:
    tag = draw(st.sampled_from(SHAPE_TAGS))
    attributes = {"label": draw(st.sampled_from(["car", "dog", "body", "joint"])), "occluded": "0", "outside": "0"}
    if tracked:
        attributes |= {"frame": str(draw(st.integers(0, 11))), "keyframe": draw(st.sampled_from("01"))}
    attributes |= GEOMETRY.get(tag, {})
    if draw(st.integers(0, 2)) == 0:
        attributes |= draw(st.dictionaries(NAMES, TEXTS, max_size=2))
        for name in draw(st.lists(NAMES, max_size=1)):
            attributes.pop(name, None)
    inside = ""
    for name in draw(st.lists(st.sampled_from(["color", "mood", ""]), max_size=1)):
        inside += element("attribute", {"name": name}, escaped(draw(TEXTS)))
    if depth < 2 and tag == "skeleton":
        inside += "".join(draw(st.lists(shapes(depth + 1), max_size=2)))
    return element(tag, attributes, inside)


@st.composite
def documents(draw: Any) -> str:
    head = META
    for old, new in draw(
        st.lists(
            st.sampled_from(
                [
                    ("<name>car</name>", "<name>body</name>"),
                    ("<type>any</type>", "<type>skeleton</type>"),
                    ("<labels>", "<labels><label><name>joint</name><parent>body</parent></label>"),
                    ("<start_frame>0", "<start_frame>3"),
                    ("<stop_frame>9</stop_frame>", ""),
                    ("<size>10", "<size>x"),
                    ("<frame_filter>", "<frame_filter>step=2"),
                    ("<task>", "<job>"),
                    ("select", "number"),
                    ("<width>100", "<width>"),
                ]
            ),
            max_size=2,
        )
    ):
        head = head.replace(old, new).replace(old.replace("<", "</"), new.replace("<", "</"))
    body = []
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            attributes = {"id": draw(st.sampled_from("0123")), "name": draw(st.sampled_from("abc")) + ".jpg"}
            attributes |= {"width": "100", "height": "80"}
            inside = draw(st.lists(shapes(), max_size=3))
            tag = "image"
        else:
            attributes = {"id": draw(st.sampled_from("012")), "label": draw(st.sampled_from(["car", "body"]))}
            inside = draw(st.lists(shapes(tracked=True), max_size=4))
            tag = "track"
        if draw(st.integers(0, 4)) == 0:
            attributes |= draw(st.dictionaries(NAMES, TEXTS, max_size=2))
        body.append(element(tag, attributes, "".join(inside)))
    return f"<annotations>{head}{''.join(body)}</annotations>"


@STABLE
@given(documents(), st.sampled_from(["fail", "skip"]), st.sampled_from(["nucleus", "cvat", "coco"]))
def test_any_tree_is_read_or_refused(tmp_path: Path, text: str, on_error: Any, target: str) -> None:
    source = tmp_path / "annotations.xml"
    source.write_text(text, encoding="utf-8")
    try:
        report = nc.convert(source, None, source="cvat", target=target, on_error=on_error, dry_run=True, verify="all")
    except ReadError as error:
        assert "annotations.xml" in str(error)  # noqa: PT017 -- either is right
    except UnrepresentableError:
        pass  # a name, or a value, that the target has no way to write
    else:
        report.ledger.check()


@STABLE
@given(st.binary(max_size=400), st.integers(0, 3000))
def test_any_bytes_are_read_or_refused(tmp_path: Path, noise: bytes, at: int) -> None:
    whole = (images(BOX, BOX)).encode()
    source = tmp_path / "annotations.xml"
    source.write_bytes(whole[:at] + noise + whole[at:])
    try:
        nc.convert(source, None, source="cvat", dry_run=True, on_error="skip")
    except ConvertError as error:
        assert "annotations.xml" in str(error)  # noqa: PT017 - either is right

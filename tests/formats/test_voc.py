"""What VOC's files say: XML, quick or parsed, lists, labelmap.txt, names of results."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_convert.converters.errors import ConvertError, MalformedFileError, SchemaError
from nucleus_convert.formats import voc
from nucleus_convert.formats.voc.dump import element, is_legal
from nucleus_convert.formats.voc.text import LabelLine

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "voc"
STABLE = settings(deadline=None, derandomize=True, database=None, max_examples=200)
PLAIN = (
    b"<annotation>\n <folder>VOC2012</folder>\n <source>\n  <annotation>PASCAL</annotation>\n </source>\n"
    b" <object>\n  <name> cat </name>\n  <bndbox><xmin>1</xmin><xmax>2</xmax></bndbox>\n </object>\n"
    b" <object><name>dog</name>\n  <bndbox><xmin>3</xmin><xmax>4</xmax></bndbox></object>\n"
    b" <segmented>0</segmented>\n</annotation>\n"
)


def test_plain_files_need_no_parser() -> None:
    read = voc.Reader().quick(PLAIN)
    assert read is not None
    assert read.document() == voc.parse(PLAIN)
    assert read.document().fields == {
        "folder": "VOC2012",
        "source": {"annotation": "PASCAL"},
        "segmented": "0",
    }
    assert [one["name"] for one in read.document().objects] == ["cat", "dog"]
    assert read.objects[0][0] is read.objects[1][0]


@pytest.mark.parametrize(
    "change",
    [
        (b"cat", b"c&amp;t"),
        (b"cat", b"<!-- no --> cat"),
        (b"cat", b"<![CDATA[c<t]]>"),
        (b"<name>", b"<name lang='en'>"),
        (b"<folder>VOC2012</folder>", b"<folder>a</folder><folder>b</folder>"),
        (b"<annotation>\n <f", b"<?xml version='1.0' encoding='latin-1'?><annotation>\n\xe9 <f"),
        (b"cat", b"c\xc3\xa9t"),
        (b"\n", b"\r\n"),
        (b"<annotation>\n <f", b"<?xml version='1.0'?>\n<annotation>\n <f"),
        (b"<annotation>\n <f", b"\xef\xbb\xbf<annotation>\n <f"),
        (b"<segmented>", b"text<segmented>"),
    ],
)
def test_quick_or_not_says_the_same(change: tuple[bytes, bytes]) -> None:
    data = PLAIN.replace(*change)
    read = voc.Reader().quick(data)
    assert read is None or read.document() == voc.parse(data)


ODD = st.one_of(
    st.sampled_from([b"", b"1", b" cat ", b"c\xc3\xa9t", b"a > b", b"&amp;", b"]]>", b"]]", b"\\1", b"?", b"<"]),
    st.sampled_from([b"\x01", b"\x1c", b"\x0b", b"\xc2\xa0", b"\xff", b"\r\n", b"<b/>", b"<b>x</b>", b"</name>"]),
    st.sampled_from([b"<object></object>", b"<filename>b</filename>", b"</filename><filename>"]),
    st.sampled_from([b"<!-- -->", b"<![CDATA[x]]>", b"<?x?>"]),
)
HEADS = st.sampled_from([
    b"<annotation>\n <folder>%b</folder><filename>%b</filename>\n%b<segmented>0</segmented>%b</annotation>\n",
    b"<annotation><source><filename>%b</filename></source><filename>%b</filename>%b%b</annotation>",
    b"<annotation><filename>%b%b</filename>%b<size><width>%b</width></size></annotation>",
    b"<annotation>%b%b%b%b</annotation>",
])  # fmt: skip
OBJECTS = st.sampled_from([
    b"<object>\n <name>%b</name>\n <bndbox><xmin>%b</xmin></bndbox>%b</object>\n",
    b"<object><name>%b</name>%b<bndbox><xmin>%b</xmin></bndbox></object>",
])  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """An annotation file, most of whose texts are plain."""

    def text(plain: bytes) -> bytes:
        return plain if draw(st.integers(0, 9)) else draw(ODD)

    objects = b"".join(
        draw(OBJECTS) % (text(b"cat"), text(b"1"), text(b"")) for _ in range(draw(st.integers(0, 3)))
    )
    values = text(b"VOC"), text(b"%d.jpg" % draw(st.integers(0, 9))), objects, text(b"5")
    return draw(HEADS) % values


@settings(STABLE, max_examples=400)
@given(st.lists(files(), min_size=1, max_size=8))
def test_what_was_read_before_makes_no_difference(several: list[bytes]) -> None:
    reader = voc.Reader()
    for data in [*several, *several]:
        read = reader.quick(data)
        try:
            document = voc.parse(data)
        except ConvertError:
            assert read is None
        else:
            assert read is None or read.document() == document


def test_files_that_differ_in_their_name_share_what_is_known_of_them() -> None:
    reader = voc.Reader()
    data = PLAIN.replace(b" <source>", b" <filename>a.jpg</filename><source>")
    one, other = reader.quick(data), reader.quick(data.replace(b"a.jpg", b"b.jpg"))
    assert one is not None
    assert other is not None
    assert one.alike is other.alike is not None
    assert other.document().fields["filename"] == "b.jpg"
    assert reader.quick(data.replace(b"a.jpg", b"a&amp;b.jpg")) is None
    wider = reader.quick(data.replace(b"VOC2012", b"VOC2007"))
    assert wider is not None
    assert wider.alike is not one.alike
    nested = PLAIN.replace(b" <source>", b" <filename>a.jpg</filename><source><filename>b</filename>")
    twice = voc.Reader().quick(nested)
    assert twice is not None
    assert twice.alike is None


def tree(element: Any) -> Any:
    """The value of an element by the standard library's parser: an independent reading."""
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    if not len(element) and not element.attrib:
        return text.strip()
    made: dict[str, Any] = {f"@{name}": value for name, value in element.attrib.items()}
    for child in element:
        if child.tag in made:
            held = made[child.tag]
            made[child.tag] = [*held, tree(child)] if isinstance(held, list) else [held, tree(child)]
        else:
            made[child.tag] = tree(child)
    if text.strip():
        made["#text"] = text.strip()
    return made


@pytest.mark.parametrize(
    "path", sorted([*(FIXTURES / "kit").rglob("*.xml"), *(FIXTURES / "tool").glob("*.xml")])
)
def test_the_standard_library_reads_the_same(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    document = voc.parse(path.read_bytes())
    assert document.objects == [tree(child) for child in root if child.tag == "object"]
    for child in [child for child in root if child.tag == "object"]:
        root.remove(child)
    assert document.fields == tree(root)


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16", "gbk", "latin-1", "cp1251"])
def test_the_declared_encoding_counts(name: str) -> None:
    word = {"gbk": "猫", "latin-1": "é", "cp1251": "кот"}.get(name, "猫é")
    declared = name.removesuffix("-sig")
    data = (
        f"<?xml version='1.0' encoding='{declared}'?><annotation><folder>{word}</folder></annotation>".encode(
            name
        )
    )
    assert voc.parse(data).fields == {"folder": word}


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"", 1, "no element found"),
        (b"<annotation>\n<object>\n</annotation>", 3, "mismatched tag"),
        (b"<annotation>\n&nbsp;</annotation>", 2, "undefined entity"),
        (b"<!DOCTYPE a>\n<annotation/>", 1, "document type"),
        (
            b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><annotation>&x;</annotation>",
            1,
            "document type",
        ),
        (b"<?xml version='1.0' encoding='klingon'?><annotation/>", 1, "klingon"),
        (b"<?xml version='1.0' encoding='gbk'?><annotation>\xff\xff</annotation>", 1, "gbk"),
        (b"<annotation>" + b"<a>" * 40 + b"</a>" * 40 + b"</annotation>", 1, "nested"),
    ],
)
def test_what_is_no_annotation_is_refused_with_its_line(data: bytes, line: int, says: str) -> None:
    assert voc.Reader().quick(data) is None
    with pytest.raises(MalformedFileError, match=says) as caught:
        voc.parse(data, "a.xml")
    assert caught.value.where is not None
    assert (caught.value.where.file, caught.value.where.line) == ("a.xml", line)


def test_another_root_is_named() -> None:
    with pytest.raises(SchemaError, match="<annotations>"):
        voc.parse(b"<annotations/>")


def test_objects_are_located() -> None:
    assert [voc.locate(PLAIN, i) for i in range(2)] == [6, 10]
    assert voc.locate(PLAIN, 1, ("bndbox", "xmin")) == 11
    assert voc.locate(PLAIN, 0, ("bndbox", "no")) == 8
    assert voc.locate(b"<annotation>\n<obj", 0) is None


TEXTS = st.text(max_size=6)
NAMES = st.sampled_from(["name", "bndbox", "xmin", "pose", "a.b", "_x-1"])
VALUES = st.recursive(
    TEXTS, lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, max_size=2), max_size=3)
)


@STABLE
@given(
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=3),
)
def test_what_is_dumped_reads_back(fields: dict[str, Any], objects: list[dict[str, Any]]) -> None:
    from nucleus_convert.converters.voc.dump import normal

    data = voc.dump(normal(fields) or {}, ["".join(element("object", normal(one), "\t")) for one in objects])
    document = voc.parse(data)
    assert document == voc.Document(normal(fields) or {}, [normal(one) for one in objects])
    read = voc.Reader().quick(data)
    assert read is None or read.document() == document


@STABLE
@given(st.binary(max_size=60) | st.text(alphabet="<>/&;!?[]ab \n'=", max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for text in (data, b"<annotation>" + data + b"</annotation>", b"<object>" + data):
        read = voc.Reader().quick(text)
        try:
            document = voc.parse(text)
        except ConvertError:
            assert read is None
        else:
            assert read is None or read.document() == document


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("2009_000040  1", ("2009_000040", "1")),
        ("2009_000052 -1\n", ("2009_000052", "-1")),
        ("x 0", ("x", "0")),
        ("000001", ("000001", "")),
        ("000001 2  1", ("000001", "2 1")),
        ("a picture 1 -1", ("a picture", "1 -1")),
        ('"a 1" 1', ("a 1", "1")),
        ("", None),
        ("# a comment", None),
    ],
)
def test_lines_of_lists(line: str, row: tuple[str, str] | None) -> None:
    assert voc.set_line(line) == row


def test_labelmap() -> None:
    text = "# label:color_rgb:parts:actions\nperson:192,128,128:head,hand:jumping\ncat:::\n"
    lines = [LabelLine("person", (192, 128, 128), ("head", "hand"), ("jumping",)), LabelLine("cat")]
    assert voc.load_labelmap(text) == lines
    assert voc.dump_labelmap(lines) == text


@pytest.mark.parametrize(
    "line", ["cat", "cat:1,2:a:b", "cat:1,2,300::", "a:b:c:d:e", ":::", "x,y:1,2,3::\nx,y:::"]
)
def test_bad_lines_of_labelmap_are_named(line: str) -> None:
    with pytest.raises(SchemaError) as caught:
        voc.load_labelmap(f"# head\n{line}\n", "labelmap.txt")
    assert str(caught.value.where) == f"labelmap.txt:{2 + line.count(chr(10))}"


def test_names_of_results() -> None:
    assert voc.result_name("comp4_det_test_tv_monitor.txt") == (4, "det", "test", "tv_monitor")
    assert voc.result_name("det_test_1.txt") == (0, "det", "test", "1")
    assert voc.result_name("comp7_layout_test.txt") is None


def test_what_xml_cannot_hold() -> None:
    assert is_legal("é ü\n猫")
    assert not any(is_legal(text) for text in ("\0", " a", "a\n", "\x1b", "\ufffe", "a\rb"))

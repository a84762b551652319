"""Plain shapes in the bytes of CVAT's XML: both implementations against vectors by hand, and against each other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.formats.cvat import scan

IMAGES: list[Any] = [pytest.param(scan.plain_images, id="python")]
PLACES: list[Any] = [pytest.param(scan.plain_places, id="python")]
if scan.quick is not None:
    IMAGES.append(pytest.param(scan.quick.images, id="compiled"))
    PLACES.append(pytest.param(scan.quick.places, id="compiled"))
both = pytest.mark.parametrize("images", IMAGES)
BOX = 'xtl="1.50" ytl="2.00" xbr="3" ybr="4.25"'
CORNERS = " ".join(f'{axis}{c}{f}="{i}"' for i, (f, c, axis) in enumerate(
    [(f, c, axis) for f in "12" for c in ("tl", "bl", "tr", "br") for axis in "xy"]
))  # fmt: skip


def within(images: Any, *elements: str) -> list[Any]:
    """What is found in an image of these elements, in threes."""
    found = images(f'<image id="0">\n{" ".join(elements)}\n</image>\n'.encode())
    assert found is not None
    head, said, inner, numbers = found
    assert head == b' id="0"'
    assert inner is None or any(inner)
    return list(zip(said, inner or [None] * len(said), numbers, strict=True))


@both
@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (f'<box label="a" {BOX} z_order="0"/>', (b'box label="a" z_order="0"', None, b"1.5,2.0,1.5,2.25")),
        (f'<box {BOX} label="a">\n  </box>', (b'box label="a"', None, b"1.5,2.0,1.5,2.25")),
        (f'<box label="a"  {BOX}> <b c="d"/></box >', (b'box label="a"', b' <b c="d"/>', b"1.5,2.0,1.5,2.25")),
        ('<box xtl="-5" ytl="0.10" xbr="5" ybr="0.30"/>', (b"box", None, b"-5,0.1,10,0.2")),
        ('<box xtl="0" ytl="0.0" xbr="2.5" ybr="10"/>', (b"box", None, b"0,0.0,2.5,10.0")),
        (
            f'<box {BOX} label="a" rotation="12.50"/>',
            (b'box rotation="" label="a"', None, b"1.5,2.0,1.5,2.25,12.5"),
        ),
        ('<polygon points="1,2;3.10,-4;5.0,6"/>', (b"polygon", None, b"[[1,2,3.1,-4,5.0,6]]")),
        ('<polyline points="1,2;3,4" label="é"/>', ('polyline label="é"'.encode(), None, b"[[1,2,3,4]]")),
        ('<points points="1,2" a="x>y"/>', (b'points a="x>y"', None, b"[[1,2]]")),
        ('<ellipse cx="1" ry="4" cy="2" rx="3"/>', (b"ellipse", None, b"1,2,3,4")),
        ('<ellipse cx="1" ry="4" cy="2" rx="3" rotation="-5"/>', (b'ellipse rotation=""', None, b"1,2,3,4,-5")),
        (f"<cuboid {CORNERS}></cuboid>", (b"cuboid", None, ",".join(map(str, range(16))).encode())),
        ('<tag label="a" source="manual">\n</tag>', (b'tag label="a" source="manual"', None, b"")),
        ('<box label="a" xtl="0" ytl="0" xbr="1" ybr="1">&amp;</box>', (b'box label="a"', b"&amp;", b"0,0,1,1")),
    ],
)
def test_what_a_plain_element_says(images: Any, element: str, expected: Any) -> None:
    assert within(images, element) == [expected]


@both
@pytest.mark.parametrize(
    "element",
    [
        '<box xtl="1" ytl="2" xbr="3"/>',
        '<box xtl="1" ytl="2" xbr="3" ybr="1"/>',
        '<box xtl="1" ytl="2" xbr="3" ybr="4" xtl="1"/>',
        "<box xtl='1' ytl=\"2\" xbr=\"3\" ybr=\"4\"/>",
        '<box xtl="1"ytl="2" xbr="3" ybr="4"/>',
        '<box xtl="01" ytl="2" xbr="3" ybr="4"/>',
        '<box xtl="1." ytl="2" xbr="3" ybr="4"/>',
        '<box xtl="1e0" ytl="2" xbr="3" ybr="4"/>',
        '<box xtl=" 1" ytl="2" xbr="3" ybr="4"/>',
        '<box xtl="-0" ytl="2" xbr="3" ybr="4"/>',
        '<box xtl="0.0001" ytl="2" xbr="3" ybr="4"/>',
        '<box xtl="1.0001" ytl="2" xbr="1.0002" ybr="4"/>',
        '<box xtl="1.1234567" ytl="2" xbr="3" ybr="4"/>',
        '<box xtl="1234567" ytl="2" xbr="12345678" ybr="4"/>',
        '<box xtl="1" ytl="2" xbr="3" ybr="4" rotation=""/>',
        '<box xtl="1" ytl="2" xbr="3" ybr="4" rotation="0"/>',
        '<ellipse cx="1" ry="4" cy="2" rx="3" rotation="-0.00"/>',
        '<polygon points="1,2;3,4"/>',
        '<polygon points="1,2;3,4;5,6;"/>',
        '<polygon points="1,2,3,4,5,6"/>',
        '<polygon points=""/>',
        '<polyline points="1,2"/>',
        '<ellipse cx="1" cy="2" rx="3"/>',
        '<skeleton label="a"><points points="1,2"/></skeleton>',
        '<mask label="a" rle="1"/>',
        "<unknown/>",
        "<box/>",
        f'<box label="{"a" * scan.MOST_SAID}" xtl="1" ytl="2" xbr="3" ybr="4"/>',
        f'<box label="a" xtl="1" ytl="2" xbr="3" ybr="4">{"a" * scan.MOST_SAID}b</box>',
    ],
)
def test_what_is_not_plain_is_handed_back(images: Any, element: str) -> None:
    plain = '<tag label="a"/>'
    assert within(images, element, plain) == [(None, None, element.encode()), (b'tag label="a"', None, b"")]


@both
@pytest.mark.parametrize(
    "text",
    [
        "text",
        "<image>",
        "<image></images>",
        "<image>text</image>",
        "<image><!-- --></image>",
        "<image><a></image>",
        "<image><a></a>",
        "<images/>",
        '<image a="<"/>',
        "<image/><box/>",
        "<image>\0</image>",
    ],
)
def test_what_is_no_stretch_of_images(images: Any, text: str) -> None:
    assert images(text.encode()) is None


@both
def test_nothing_is_a_stretch_without_images(images: Any) -> None:
    assert images(b"") == images(b" \n") == []
    assert images(b'<image a="/>" /><image></image>') == [b' a="/>" ', [], None, [], b"", [], None, []]


numbers = st.one_of(
    st.integers(-2000, 2000).map(str),
    st.decimals(-2000, 2000, places=2).map(str),
    st.sampled_from(["0", "-0", "-0.00", "00", "1.", ".5", "1e1", "0.0001", "1.1234567", "1234567", "1.000000", ""]),
)
pairs = st.lists(st.builds("{},{}".format, numbers, numbers), min_size=1, max_size=5).map(";".join)


@st.composite
def elements(draw: Any) -> str:
    tag = draw(st.sampled_from(["box", "polygon", "polyline", "points", "ellipse", "tag", "boxes", "mask"]))
    names = {"box": ["xtl", "ytl", "xbr", "ybr"], "ellipse": ["cx", "cy", "rx", "ry"]}.get(tag, [])
    said = [f'{name}="{draw(numbers)}"' for name in names]
    if tag.startswith("po"):
        said.append(f'points="{draw(pairs)}"')
    more = ['label="a"', 'occluded="1"', "x='y'", 'a="<"', 'b=">"', 'rotation="5.50"', 'points="1,2"', 'xtl="3"']
    said = draw(st.permutations([*said, *draw(st.lists(st.sampled_from(more), max_size=2))]))
    space = draw(st.sampled_from([" ", "  ", "\n"]))
    inner = draw(st.sampled_from(["", "\n ", '<attribute name="b">c</attribute>', "<box/>", "text", "</b>"]))
    end = draw(st.sampled_from([f">{inner}</{tag}>", "/>", " />", f" > </{tag} >"]))
    return f"<{tag}{''.join(space + one for one in said)}{end}"


@st.composite
def stretches(draw: Any) -> bytes:
    """Nearly a stretch of images: some bytes of it may be others."""
    text = ""
    for inside in draw(st.lists(st.lists(elements(), max_size=3), max_size=3)):
        text += f'<image id="1" name="a b">\n{"  ".join(inside)}</image>\n' if inside else "<image/>"
    data = bytearray(text.encode())
    change = st.tuples(st.integers(0, 500), st.sampled_from(b"<>/\"'=!? ;,\0\xc3ab1."))
    for at, byte in draw(st.lists(change, max_size=2)):
        if at < len(data):
            data[at] = byte
    return bytes(data)


@given(stretches())
def test_both_say_the_same(data: bytes) -> None:
    if scan.quick is None:
        pytest.skip("nothing was compiled")
    assert scan.quick.images(data) == scan.plain_images(data)
    for stop in {len(data), len(data) // 2}:
        assert scan.quick.places(data, stop) == scan.plain_places(data, stop)


@given(st.decimals(-10_000, 10_000, places=3), st.decimals(0, 10_000, places=3))
def test_numbers_are_as_repr_writes_them(low: Any, size: Any) -> None:
    for images in (scan.images, scan.plain_images):
        found = images(f'<image><box xtl="{low}" ytl="0" xbr="{low + size}" ybr="1"/></image>'.encode())
        assert found is not None
        assert found[3] == [f"{float(low)!r},0,{float(size)!r},1".encode()]
        assert json.loads(b"[" + found[3][0] + b"]") == [float(low), 0, float(size), 1]


@pytest.mark.parametrize("places", PLACES)
def test_places(places: Any) -> None:
    data = b"""<image a="b"><box label="a"/><x\tlabel='b"'/></image><images/><image/> xlabel="c" label="d" <image"""
    assert places(data, len(data)) == ([0, data.index(b"<image/>")], {b"a", b'b"', b"d"})
    assert places(data, data.index(b"<image/>") + 6) == ([0], {b"a", b'b"'})
    assert places(data, 0) == ([], set())
    assert places(data + b"<!--", 10) is None
    assert places(data + b"<?a", 10) is None

"""``tracklet_labels.xml`` of raw drives: an object, its size, and a pose for each frame from its first one on.

Lidar frame, metres and radians. The file is what Boost's serialisation makes of C++ objects, which shows in its
``class_id`` attributes and ``item_version`` elements. Two kinds of writer disagree on what the numbers are:

- the *devkit*: ``tx ty tz`` is the centre of the box's bottom, ``l`` lies along the heading, ``w`` across, ``h`` up;
- CVAT and Datumaro: ``tx ty tz`` is the centre of the box. CVAT puts the extent along the heading into ``w``, across
  into ``h`` and up into ``l``; Intel's Datumaro puts them into ``h``, ``w``, ``l``.

Numbers are kept as the texts that stand in the file, so that it comes back as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from nucleus_convert.converters.errors import SchemaError

Dialect: TypeAlias = Literal["devkit", "cvat", "datumaro"]

FILE: Final = "tracklet_labels.xml"
"""What the file is called, in a drive's folder."""
FIELDS: Final = (
    "tx", "ty", "tz", "rx", "ry", "rz", "state", "occlusion", "occlusion_kf", "truncation", "amt_occlusion",
    "amt_occlusion_kf", "amt_border_l", "amt_border_r", "amt_border_kf",
)  # fmt: skip
"""The fields of a pose, in the devkit's order."""
SIZE: Final = ("h", "w", "l")
"""The fields of a size, in the devkit's order."""
CVAT_FIELDS: Final = (*FIELDS[:11], "amt_border_l", "amt_border_r", "amt_occlusion_kf", "amt_border_kf")

_COUNT = re.compile(r"(<count>)[^<]*(</count>)")


class Pose(msgspec.Struct, frozen=True, gc=False):
    """A pose: the names of its fields in the file's order (as a rule FIELDS), and their texts."""

    fields: tuple[str, ...]
    texts: tuple[str, ...]
    attributes: str = ""

    def number(self, field: str) -> float | None:
        """The number in a field, or None if the pose does not have it."""
        return float(self.texts[self.fields.index(field)]) if field in self.fields else None


class Tracklet(msgspec.Struct, frozen=True, kw_only=True):
    """An object, through its frames.

    Attributes:
        label: its ``objectType``.
        size: the texts of ``h``, ``w`` and ``l``, in this order; what they are depends on the dialect.
        first_frame: frame of the first pose, 0-based; the following poses belong to the following frames.
        poses: one for each frame.
        finished: the text of ``finished``, which version 0 does not have.
        item_version: of the poses.
        attributes: of ``item`` and of ``poses``, as they are written, with a space before each.
        others: elements that a tracklet does not have, by name.
        order: in which the size stands in the file.
        line: where the tracklet begins.
    """

    label: str
    size: tuple[str, str, str]
    first_frame: int
    poses: tuple[Pose, ...]
    finished: str | None = "1"
    item_version: str | None = "2"
    attributes: tuple[str, str] = ("", "")
    others: Mapping[str, str] = msgspec.field(default_factory=dict)
    order: tuple[str, ...] = SIZE
    line: int | None = None


class Style(msgspec.Struct, frozen=True):
    """What stands around the tracklets: the text before the first one and behind the last, and how lines begin."""

    head: str = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>\n<!DOCTYPE boost_serialization>\n'
        '<boost_serialization signature="serialization::archive" version="9">\n'
        '<tracklets class_id="0" tracking_level="0" version="0">\n\t<count>0</count>\n'
        "\t<item_version>1</item_version>\n\t"
    )
    tail: str = "\n</tracklets>\n</boost_serialization>\n"
    indent: str = "\t"
    step: str = "\t"
    newline: str = "\n"


class Bad(NamedTuple):
    """A tracklet that cannot be read: its text, and why."""

    text: str
    error: SchemaError


class Document(NamedTuple):
    """A file: its style, its tracklets in order, what is odd about it, as (what, line), and tracklets that are none."""

    style: Style
    tracklets: tuple[Tracklet, ...]
    odd: tuple[tuple[str, int], ...]
    bad: tuple[Bad, ...] = ()


class Box(NamedTuple):
    """A box in the lidar frame, metres: centre, extents along the heading, across and up, and ``rz`` as it stands."""

    x: float
    y: float
    z: float
    length: float
    width: float
    height: float
    rz: float


# --- what the numbers are ------------------------------------------------------------------------------


def dialect(document: Document, *, frame_list: bool = False) -> Dialect:
    """Whose file this is: ``devkit`` or ``cvat`` (from which ``datumaro`` cannot be told).

    Known by the version of the poses, of which the devkit's with these fields is 2, and by the order of the fields.
    That every ``amt_`` field is -1 says nothing: drives of KITTI's own have such tracklets too.

    Args:
        document: the file.
        frame_list: whether a ``frame_list.txt`` stands beside it, as CVAT writes one.
    """
    if frame_list:
        return "cvat"
    for tracklet in document.tracklets:
        for pose in tracklet.poses[:1]:
            if "amt_border_l" not in pose.fields:
                continue
            if tracklet.item_version in ("0", "1"):
                return "cvat"
            if "amt_occlusion_kf" in pose.fields:
                late = pose.fields.index("amt_occlusion_kf") > pose.fields.index("amt_border_l")
                return "cvat" if late else "devkit"
    return "devkit"


def boxes(tracklet: Tracklet, of: Dialect) -> list[Box]:
    """The box of each pose."""
    h, w, l_ = map(float, tracklet.size)
    length, width, height = {"devkit": (l_, w, h), "cvat": (w, h, l_), "datumaro": (h, w, l_)}[of]
    lift = height / 2 if of == "devkit" else 0
    found = []
    for pose in tracklet.poses:
        x, y, z, turn = (pose.number(field) or 0.0 for field in ("tx", "ty", "tz", "rz"))
        found.append(Box(x, y, z + lift, length, width, height, turn))
    return found


def placed(box: Box, of: Dialect) -> tuple[tuple[float, float, float], dict[str, float]]:
    """The numbers of ``h``, ``w`` and ``l``, and of the fields ``tx`` to ``rz``, that say a box."""
    length, width, height = box.length, box.width, box.height
    size = {"devkit": (height, width, length), "cvat": (width, length, height), "datumaro": (length, width, height)}[of]
    z = box.z - height / 2 if of == "devkit" else box.z
    return size, {"tx": box.x, "ty": box.y, "tz": z, "rx": 0.0, "ry": 0.0, "rz": box.rz}


# --- writing -------------------------------------------------------------------------------------------


def dump(tracklets: Sequence[Tracklet], style: Style | None = None) -> Iterator[str]:
    """The text of a file, in pieces of a tracklet each. Counts are those of what is written."""
    style = style or Style()
    head = _COUNT.sub(rf"\g<1>{len(tracklets)}\g<2>", style.head, count=1)
    if not tracklets:
        yield head.rstrip() + style.tail
        return
    yield head
    for number, tracklet in enumerate(tracklets):
        lines = _tracklet(tracklet, style.step)
        begin = style.newline + style.indent
        yield (begin if number else "") + begin.join(lines)
    yield style.tail


def _tracklet(tracklet: Tracklet, step: str) -> Iterator[str]:
    yield f"<item{tracklet.attributes[0]}>"
    yield f"{step}<objectType>{escaped(tracklet.label)}</objectType>"
    sizes = dict(zip(SIZE, tracklet.size, strict=True))
    for name in tracklet.order if sorted(tracklet.order) == sorted(SIZE) else SIZE:
        yield f"{step}<{name}>{escaped(sizes[name])}</{name}>"
    yield f"{step}<first_frame>{tracklet.first_frame}</first_frame>"
    yield f"{step}<poses{tracklet.attributes[1]}>"
    yield f"{step * 2}<count>{len(tracklet.poses)}</count>"
    if tracklet.item_version is not None:
        yield f"{step * 2}<item_version>{escaped(tracklet.item_version)}</item_version>"
    for pose in tracklet.poses:
        yield f"{step * 2}<item{pose.attributes}>"
        for name, text in zip(pose.fields, pose.texts, strict=True):
            yield f"{step * 3}<{name}>{escaped(text)}</{name}>"
        yield f"{step * 2}</item>"
    yield f"{step}</poses>"
    for name, text in tracklet.others.items():
        yield f"{step}<{name}>{escaped(text)}</{name}>"
    if tracklet.finished is not None:
        yield f"{step}<finished>{escaped(tracklet.finished)}</finished>"
    yield "</item>"


def marked(tracklets: Iterable[Tracklet]) -> list[Tracklet]:
    """The tracklets with the attributes that Boost writes where a class occurs for the first time, and nowhere else."""
    done: list[Tracklet] = []
    posed = False
    for tracklet in tracklets:
        poses = [msgspec.structs.replace(pose, attributes="") for pose in tracklet.poses]
        if poses and not posed:
            poses[0] = msgspec.structs.replace(poses[0], attributes=_MARK.format(3, 2))
            posed = True
        marks = ("", "") if done else (_MARK.format(1, 1), _MARK.format(2, 0))
        done.append(msgspec.structs.replace(tracklet, poses=tuple(poses), attributes=marks))
    return done


_MARK = ' class_id="{}" tracking_level="0" version="{}"'
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("\r"): "&#13;"}


def escaped(text: str) -> str:
    """Text as XML; characters that XML has no place for become U+FFFD."""
    return _ILLEGAL.sub("\ufffd", text).translate(_ESCAPES)

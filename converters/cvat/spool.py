"""Frames in, tracks out: shapes are put on disk as they come and read back track by track.

The model streams frames, CVAT lists tracks. What is held meanwhile is a few bytes a shape: where it stands on disk.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from nucleus_convert.converters import blending, reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat import heading
from nucleus_convert.converters.cvat.draw import Drawer, Seen
from nucleus_convert.converters.cvat.encode import packed_annotation
from nucleus_convert.converters.cvat.keys import DIGITS
from nucleus_convert.converters.cvat.meta import FORMAT, Task, pack, unpack
from nucleus_convert.converters.cvat.objects import GEOMETRY, Objects
from nucleus_convert.converters.cvat.options import ReadOptions
from nucleus_convert.converters.cvat.video import Part, frame_item
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.model import Annotation, Header, Id, Item, Mask, Record, Shape
from nucleus_convert.converters.report import Fate, Report
from nucleus_convert.converters.tracks import Key, keyframes
from nucleus_convert.formats.cvat import Node, dump, start_tag

INDENT = "    "
_MAX_FRAME = 50_000_000
_DEFAULT = ReadOptions.model_validate({})
_ENCODE = msgspec.json.Encoder().encode


class Row(msgspec.Struct, array_like=True):
    """A shape on a frame: what its track is told by, the shape, and its element without geometry, as JSON."""

    track: Id | None
    label: str
    source: str
    group: str | None
    frame: int
    shape: Shape
    node: list[Any]
    kept: dict[str, Any]


class Frame(msgspec.Struct):
    """A frame: its item, its shapes, and the annotations that have no element."""

    item: Item
    rows: list[Row]
    packed: list[Any]


class Frames(msgspec.Struct):
    """Frames of a stretch, and what labels were used with."""

    frames: list[Frame]
    seen: Seen


class FrameEncoder:
    """Turns a stretch of records into rows. Picklable."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def __call__(self, records: Iterator[Record], report: Report) -> Frames:
        """The rows of the records."""
        drawer = Drawer(self.objects)
        fates: Counter[Fate] = Counter()
        frames = []
        for record in records:
            frame = Frame(record.item, [], [])
            renumbered = 0
            drawer.begin(record.annotations)
            for position, annotation in enumerate(record.annotations):
                drawn = drawer.draw(annotation, record.item, one=True)
                if drawn is None or drawn[0][0].tag == "tag":
                    frame.packed.append(packed_annotation(position, annotation, fates))
                    continue
                (node,), fate = drawn
                fates[fate] += 1
                renumbered += type(annotation.group) is str
                frame.rows.append(_row(annotation, node, drawer.shown))
            if renumbered:
                report.tally(Code.RENUMBERED, "group", FORMAT, record.item, None, renumbered)
            report.ledger.item("written")
            frames.append(frame)
        for fate, count in fates.items():
            report.ledger.fate(fate, count)
        return Frames(frames, drawer.seen)


def _row(annotation: Annotation, node: Node, shape: Shape) -> Row:
    said = node.attributes
    kept: dict[str, Any] = {}
    if node.children and node.children[-1].tag == reserved.TAG:
        kept = reserved.load(node.children.pop().text)
        del kept["v"]
        fields = kept.get("fields", {})
        fields.pop("track", None)
        if not fields:
            kept.pop("fields", None)
    label, source, group = said.pop("label"), said.pop("source"), said.pop("group_id", None)
    return Row(annotation.track, label, source, group, 0, shape, pack(node), kept)


class _Scene(msgspec.Struct):
    """A scene that is written: its first item, its frames, its tracks."""

    name: str
    first: Item
    frames: dict[int, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Of each frame: where it stands on disk, its number in ``orders``."""
    tracks: list[int] = msgspec.field(default_factory=list)


class Spool:
    """Takes frames, and writes tracks; a context manager that closes what is on disk."""

    def __init__(self, path: Path, header: Header, objects: Objects) -> None:
        self.path = path
        self.header = header
        self.objects = objects
        self.seen = Seen()
        self._file: BinaryIO = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 -- __exit__ closes it
        self._scenes: dict[tuple[str, str | None], _Scene] = {}
        self._keys: dict[Any, int] = {}
        self._rows: list[array[int]] = []
        self._last: list[int] = []
        self._orders: list[array[int]] = []
        self._unplaced = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def encoder(self) -> FrameEncoder:
        """What makes rows of records, in any process."""
        return FrameEncoder(self.objects)

    def add(self, frames: Frames) -> None:
        """Take a stretch of frames.

        Raises:
            UnrepresentableError: two frames have one number, or one has a number below 0.
        """
        self.seen.merge(frames.seen)
        for frame in frames.frames:
            self._add(frame)

    def _add(self, frame: Frame) -> None:
        place = frame.item.scene
        own: tuple[str, str | None] = ("", None) if place is None else (place.id, place.sensor)
        if place is None:
            index = self._unplaced
            self._unplaced += 1
        else:
            index = place.frame
        scene = self._scenes.get(own)
        if scene is None:
            name = own[0] or "video"
            scene = self._scenes[own] = _Scene(name, frame.item)
        if index in scene.frames or not 0 <= index <= _MAX_FRAME:
            raise UnrepresentableError(
                f"frame {index} of scene '{scene.name}' {'twice' if index in scene.frames else 'is no frame'}",
                Where(item=str(frame.item.path or frame.item.id)),
                "write images instead: --kind images",
            )
        order = array("q")
        for number, row in enumerate(frame.rows):
            row.frame = index
            key: tuple[Any, ...] = (own, row.track, row.label, row.source, row.group, row.node[0])
            if row.track is None or isinstance(row.shape, Mask):  # CVAT keeps but the first shape of a mask's track
                key = (own, index, number)
            track = self._keys.get(key, -1)
            if track >= 0 and self._last[track] == index:
                key = (own, index, number)
                track = -1
            if track < 0:
                track = self._keys[key] = len(self._rows)
                self._rows.append(array("q"))
                self._last.append(-1)
                scene.tracks.append(track)
            self._last[track] = index
            self._rows[track].append(self._put(_ENCODE(row)))
            order.append(track)
        scene.frames[index] = (self._put(_ENCODE([frame.item, frame.packed])), len(self._orders))
        self._orders.append(order)

    def _put(self, data: bytes) -> int:
        at = self._file.tell()
        self._file.write(len(data).to_bytes(8, "little"))
        self._file.write(data)
        return at

    def _get(self, at: int) -> bytes:
        self._file.seek(at)
        return self._file.read(int.from_bytes(self._file.read(8), "little"))

    # ------------------------------------------------------------------ writing

    def write(self, name: str) -> None:
        """Write the file. Its target is called ``name``."""
        scenes = list(self._scenes.values())
        meta, tasks = self._meta(scenes, name)
        more: dict[str, Any] = {"kind": "video", "header": {}, "scenes": [scene.name for scene in scenes]}
        absent = {}
        for number, (scene, task) in enumerate(zip(scenes, tasks, strict=False)):
            gone = [index for index in range(task.count or 0) if index not in scene.frames]
            if gone:
                absent[str(number)] = gone
        if absent:
            more["absent"] = absent
        with self.path.open("wb") as file:
            file.write(heading.head(self.header, self.seen, meta, "video", more))
            self._tracks(scenes, tasks, file)
            self._extras(scenes, tasks, file)
            file.write(b"</annotations>\n")

    def _meta(self, scenes: list[_Scene], name: str) -> tuple[Node, list[Task]]:
        made = []
        for number, scene in enumerate(scenes):
            last = max(scene.frames)
            item = scene.first
            made.append(
                Task(
                    identity=str(number), name=scene.name, stop=last, mode="interpolation",
                    width=item.width, height=item.height, subset=item.subset,
                )
            )  # fmt: skip
        made = made or [Task(name=name, mode="interpolation")]
        meta = heading.meta_of(self.header, made)
        tasks = heading.tasks_of_meta(meta)
        fits = len(tasks) == max(1, len(scenes)) and all(
            task.count is not None and max(scene.frames) < task.count
            for task, scene in zip(tasks, scenes, strict=False)
        )
        if not fits:
            meta = heading.meta_of(Header(), made)
            tasks = heading.tasks_of_meta(meta)
        return meta, tasks

    def _tracks(self, scenes: list[_Scene], tasks: list[Task], file: BinaryIO) -> None:
        taken: set[int] = set()
        free = 0
        number_of = {track: k for k, scene in enumerate(scenes) for track in scene.tracks}
        for track in range(len(self._rows)):
            k = number_of[track]
            rows = [msgspec.json.decode(self._get(at), type=Row) for at in self._rows[track]]
            first = rows[0]
            own = _native(first.track, scenes[k].name)
            if own is None or own in taken:
                own = None
                while free in taken:
                    free += 1
            identity = free if own is None else own
            taken.add(identity)
            said = {"id": str(identity), "label": first.label, "source": first.source}
            if len(scenes) > 1:
                said |= {"task_id": tasks[k].identity, "subset": tasks[k].subset or "default"}
            if first.group is not None:
                said["group_id"] = first.group
            if own is None:
                for row in rows:
                    row.kept.setdefault("fields", {})["track"] = row.track
            lines = [f"  {start_tag('track', said)}\n"]
            lines += [dump(_shape_node(key, tasks[k]), INDENT) for key in _reduced(rows, tasks[k].count)]
            lines.append("  </track>\n")
            file.write("".join(lines).encode())

    def _extras(self, scenes: list[_Scene], tasks: list[Task], file: BinaryIO) -> None:
        """What the reader could not tell of frames by itself, ascending by frame."""
        entries: list[tuple[int, int, int]] = []
        for k, scene in enumerate(scenes):
            entries += [(tasks[k].frame(index), k, index) for index in scene.frames]
        entries.sort()
        several = len(scenes) > 1
        for frame, k, index in entries:
            scene = scenes[k]
            at, order = scene.frames[index]
            item, packed = msgspec.json.decode(self._get(at), type=tuple[Item, list[Any]])
            prefix = f"{scene.name}/" if several else ""
            part = Part(tasks[k], scene.name, prefix, (), 0, ())
            kept: dict[str, Any] = {}
            if changes := reserved.carried_item(item, frame_item(part, index, _DEFAULT)):
                kept["item"] = changes
            tracks = list(self._orders[order])
            ranked = sorted(tracks)
            if tracks != ranked:
                kept["order"] = [ranked.index(track) for track in tracks]
            if packed:
                kept["annotations"] = packed
            if kept:
                node = Node(reserved.TAG, {"frame": str(frame)}, [], reserved.text(kept))
                file.write(dump(node, "  ").encode())


def _native(track: Id | None, scene: str) -> int | None:
    """The number of a track that came from CVAT."""
    if type(track) is not str or not track.startswith(f"{scene}/"):
        return None
    text = track[len(scene) + 1 :]
    fits = text.isascii() and text.isdigit() and len(text) < 10 and str(int(text)) == text
    return int(text) if fits else None


def _reduced(rows: list[Row], count: int | None) -> Iterator[Key]:
    """The keyframes to write."""
    rowed = {row.frame: row for row in rows}
    seen = [Key(row.frame, row.shape, False, _state(row)) for row in rows]
    if all(blending.rounded(key.shape, DIGITS) == key.shape for key in seen):
        found = keyframes(seen, count, DIGITS)
    else:
        found = _all(seen, count)
    before = rows[0]
    for key in found:
        row = rowed.get(key.frame, before)
        before = row
        yield key._replace(state=row)


def _state(row: Row) -> bytes:
    """All that has to be the same for the frames between two to follow from them."""
    tag, inside, attributes, *_ = row.node
    if not {"exact", "shapes", "order", "derived"} & row.kept.keys():
        attributes = {name: value for name, value in attributes.items() if name not in (*GEOMETRY[tag], "rotation")}
        if tag == "skeleton":
            inside = [_still_joint(joint) if joint[0] == "points" else joint for joint in inside]
    return _ENCODE([tag, inside, attributes, row.kept])


def _still_joint(joint: list[Any]) -> list[Any]:
    tag, inside, attributes, *_ = joint
    moving = ("points", "outside", "occluded")
    return [tag, inside, {name: value for name, value in attributes.items() if name not in moving}]


def _all(seen: list[Key], count: int | None) -> Iterator[Key]:
    """Every frame, where what lies between keyframes would be rounded."""
    for key, after in zip(seen, [*seen[1:], None], strict=True):
        yield key
        ends = key.frame + 1
        if (after is None or after.frame > ends) and (count is None or ends < count):
            yield key._replace(frame=ends, outside=True)


def _shape_node(key: Key, task: Task) -> Node:
    row: Row = key.state
    node = unpack(row.node)
    outside = "1" if key.outside else "0"
    said = {"frame": str(task.frame(key.frame)), "keyframe": "1"}
    if node.tag != "skeleton":
        said["outside"] = outside
    node.attributes = {**said, **node.attributes}
    for joint in node.children:
        if node.tag == "skeleton" and joint.tag == "points":
            joint.attributes = {**joint.attributes, "keyframe": "1"}
            if key.outside:
                joint.attributes["outside"] = "1"
    if row.kept and not key.outside:
        node.children.append(Node(reserved.TAG, {}, [], reserved.text(row.kept)))
    return node

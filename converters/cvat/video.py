"""Records of a video file: its tracks, cut into frames, a stretch of frames at a time.

CVAT lists shapes by track, the model by frame. For each stretch of frames only the shapes about those frames are
read, from where they stand in the file, so that neither the frames nor the tracks are held.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.keys import DIGITS, Keys
from nucleus_convert.converters.cvat.meta import FORMAT, Task
from nucleus_convert.converters.cvat.objects import Objects
from nucleus_convert.converters.cvat.options import ReadOptions
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Annotation, Header, Item, Keypoints, Record, Scene, SceneRef, Shape
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.tracks import dense, skeletons
from nucleus_convert.formats.cvat import TrackIndex

BLOCK = 128
"""Frames whose annotations are held at a time."""
MAX_FRAMES = 50_000_000
_FAR = 1 << 60


class Part(msgspec.Struct, frozen=True):
    """A task of the file: its frames that are read, and its tracks.

    Attributes:
        task: of the file.
        scene: the id of its scene.
        prefix: what its frames' names begin with.
        indices: of its frames that are read: their numbers among those annotated, ascending.
        last: the number of its last frame among those annotated.
        tracks: numbers of its tracks.
    """

    task: Task
    scene: str
    prefix: str
    indices: Sequence[int]
    last: int
    tracks: tuple[int, ...]
    bounded: bool = True
    """Whether the file says where the video ends."""


class Video(msgspec.Struct, frozen=True):
    """The records of a video file: a :class:`Source`."""

    index: TrackIndex
    objects: Objects
    parts: tuple[Part, ...]
    options: ReadOptions
    names: tuple[str, ...]
    """What each track is called in the model."""
    ours: bool = False
    """Whether this program wrote the file: then every shape says all that there is to say of it."""

    @property
    def count(self) -> int:
        """How many frames are read."""
        return sum(len(part.indices) for part in self.parts)

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of frames ``start`` to ``stop`` of those that are read."""
        begin = 0
        for part in self.parts:
            count = len(part.indices)
            first, last = max(0, start - begin), count if stop is None else min(count, stop - begin)
            for at in range(first, last, BLOCK):
                yield from self._block(part, at, min(at + BLOCK, last), report)
            begin += count

    def _block(self, part: Part, first: int, last: int, report: Report) -> Iterator[Record]:
        indices = part.indices[first:last]
        wanted = frozenset(indices)
        low = -_FAR if first == 0 else indices[0]
        high = _FAR if last == len(part.indices) else part.indices[last]
        frames: dict[int, list[Annotation]] = {index: [] for index in indices}
        span = range(indices[0], indices[-1] + 1)
        if len(indices) > 1 and isinstance(part.indices, range):
            span = range(indices[0], indices[-1] + 1, part.indices.step)
        for number in part.tracks:
            for index, annotation in self._track(part, number, span, (low, high), report):
                if index in wanted:
                    frames[index].append(annotation)
        for index, found in frames.items():
            yield self._record(part, index, found)

    def _track(
        self, part: Part, number: int, span: range, owned: tuple[int, int], report: Report
    ) -> Iterator[tuple[int, Annotation]]:
        """The annotations of a track on the frames of a stretch."""
        place = self.index.tracks[number]
        task = part.task
        low, high = owned
        starts, stops = task.frame(span[0]), task.frame(span[-1])
        if low != -_FAR and place.first > stops and high != _FAR:
            return
        begin = -_FAR if low == -_FAR else starts
        end = _FAR if high == _FAR else max(stops, task.frame(high) - 1)
        node = self.index.read(place, begin, end)
        keys = Keys(self, part, number, node, owned, report)
        found = keys.read()
        if not found:
            return
        if not (keys.lasting and part.bounded):
            span = range(span.start, min(span.stop, found[-1].frame + 1), span.step)
        if any(type(key.shape) is Keypoints for key in found):
            yield from _moving_joints(keys, span)
            return
        for key in dense(found, span, DIGITS):
            yield key.frame, _with_shape(key.state, key.shape)

    def _record(self, part: Part, index: int, annotations: list[Annotation]) -> Record:
        item = frame_item(part, index, self.options)
        kept = self._kept(part.task.frame(index))
        if kept is not None:
            item = reserved.restore_item(kept, item)
            order = kept.get("order")
            if order is not None:
                if sorted(reserved.convert(order, list[int])) != list(range(len(annotations))):
                    raise SchemaError(
                        f"<{reserved.TAG}> was changed: its order is not that of the frame's objects",
                        Where(file=self.index.file, item=item.path),
                        "remove the element",
                    )
                annotations = [annotations[i] for i in order]
            for position, value in kept.get("annotations", ()):
                annotations.insert(position, reserved.convert(value, Annotation))
        return Record(item, tuple(annotations))

    def _kept(self, frame: int) -> dict[str, Any] | None:
        """What this program kept of a frame."""
        frames = self.index.extra_frames
        at = bisect_left(frames, frame)
        if at == len(frames) or frames[at] != frame:
            return None
        nodes = self.index.read_extra(at, at + 1)
        if not nodes or nodes[0].tag != reserved.TAG:
            return None
        return reserved.load(nodes[0].text, Where(file=self.index.file))


def frame_item(part: Part, index: int, options: ReadOptions) -> Item:
    """The item of a frame, as the file by itself says it."""
    task = part.task
    frame = task.frame(index)
    named = options.frame_name.format(frame=frame - task.offset, index=index, task=task.name)
    return Item(
        id=frame,
        path=part.prefix + named,
        width=task.width,
        height=task.height,
        subset=task.subset,
        scene=SceneRef(id=part.scene, frame=index) if options.video == "scenes" else None,
    )


def _with_shape(template: Annotation, shape: Shape) -> Annotation:
    if not template.shapes or shape is template.shapes[0]:
        return template
    return msgspec.structs.replace(template, shapes=(shape, *template.shapes[1:]))


def _moving_joints(keys: Keys, span: range) -> Iterator[tuple[int, Annotation]]:
    for frame, flat in skeletons(keys.joints, span, DIGITS):
        template = keys.template(frame)
        shape = template.shapes[0]
        if not isinstance(shape, Keypoints):
            raise SchemaError("a track with skeletons and other shapes", keys.where())
        if shape.points != flat:
            shape = Keypoints(flat, shape.names, shape.skeleton)
        yield frame, _with_shape(template, shape)


# --- opening -------------------------------------------------------------------------------------------


def open_video(
    index: TrackIndex,
    header: Header,
    objects: Objects,
    tasks: list[Task],
    kept: dict[str, Any],
    options: ReadOptions,
    report: Report,
) -> tuple[Video, Header]:
    """The frames and scenes of a video file.

    Raises:
        SchemaError: it claims more frames than any video has.
    """
    where = Where(file=index.file)
    known = [task for task in tasks if task.count] if len(tasks) > 1 else tasks
    known = known or [Task(name=PurePosixPath(index.file).stem)]
    absent = reserved.convert(kept.get("absent", {}), dict[str, list[int]], where)
    names = reserved.convert(kept.get("scenes", []), list[str], where)
    several = len(known) > 1
    members = _members(index, known)
    parts: list[Part] = []
    scenes: list[Scene] = []
    used: set[str] = set()
    for number, task in enumerate(known):
        scene = names[number] if number < len(names) else _scene_name(task, used)
        used.add(scene)
        last = _last(index, task, members[number], report, where)
        indices = _indices(index, task, last, absent.get(str(number), []), options)
        prefix = f"{scene}/" if several else ""
        part = Part(task, scene, prefix, indices, last, tuple(members[number]), task.count is not None)
        parts.append(part)
        scenes.append(Scene(id=scene, frame_rate=options.frame_rate))
    if options.video == "scenes" and "header" not in kept:
        header = msgspec.structs.replace(header, scenes=tuple(scenes))
    elif options.video == "items":
        header = msgspec.structs.replace(header, scenes=())
    elif options.frame_rate is not None:
        rated = tuple(msgspec.structs.replace(scene, frame_rate=options.frame_rate) for scene in header.scenes)
        header = msgspec.structs.replace(header, scenes=rated)
    scene_of = {track: part.scene for part in parts for track in part.tracks}
    called = tuple(
        f"{scene_of.get(number, '')}/{track.attributes.get('id', number)}" for number, track in enumerate(index.tracks)
    )
    return Video(index, objects, tuple(parts), options, called, ours="kind" in kept), header


def _scene_name(task: Task, used: set[str]) -> str:
    name = task.name or (f"task-{task.identity}" if task.identity else "video")
    if name in used and task.identity:
        name = f"{name}-{task.identity}"
    base, number = name, 1
    while name in used:
        number += 1
        name = f"{base}-{number}"
    return name


def _members(index: TrackIndex, tasks: list[Task]) -> list[list[int]]:
    """For each task the numbers of its tracks; a track that names none of them is the first one's."""
    if len(tasks) == 1:
        return [list(range(len(index.tracks)))]
    place = {task.identity: number for number, task in enumerate(tasks)}
    members: list[list[int]] = [[] for _ in tasks]
    for number, track in enumerate(index.tracks):
        own = place.get(track.attributes.get("task_id", ""))
        if own is None:
            subset = track.attributes.get("subset")
            fits = (
                k
                for k, task in enumerate(tasks)
                if task.index(track.first) is not None and (subset in (None, "default", task.subset))
            )
            own = next(fits, 0)
        members[own].append(number)
    return members


def _last(index: TrackIndex, task: Task, members: list[int], report: Report, where: Where) -> int:
    """The number of the last frame of a task among those annotated."""
    if task.count is not None:
        last = task.count - 1
    else:
        frames = [index.tracks[number].last for number in members] + list(index.extra_frames)
        last = max((max(0, frame - task.offset - task.start) // task.step for frame in frames), default=-1)
        report.add(
            Code.ASSUMED,
            "no number of frames in <meta>: the last frame is the last one with a shape",
            format=FORMAT,
            where=where,
        )
    if last > MAX_FRAMES:
        raise SchemaError(f"{last + 1:,} frames, more than {MAX_FRAMES:,}", where, "mend <size> or <stop_frame>")
    return last


def _indices(index: TrackIndex, task: Task, last: int, absent: list[int], options: ReadOptions) -> Sequence[int]:
    """The frames to read, as numbers among those annotated."""
    every = range(0, last + 1, options.every)
    if options.frames == "keyframes":
        found = (task.index(frame) for frame in index.keyframes)
        return array("q", [number for number in found if number is not None and number <= last])
    if absent:
        gone = set(absent)
        return array("q", [number for number in every if number not in gone])
    return every

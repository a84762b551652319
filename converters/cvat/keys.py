"""The keyframes of a track, as far as they were read: elements become shapes and what belongs to them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.meta import FORMAT
from nucleus_convert.converters.cvat.notes import Place
from nucleus_convert.converters.cvat.objects import KINDS, flag, whole
from nucleus_convert.converters.errors import ConvertError, SchemaError, Where
from nucleus_convert.converters.model import Annotation, Shape
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.tracks import Joint, Key
from nucleus_convert.formats.cvat import Node

if TYPE_CHECKING:
    from nucleus_convert.converters.cvat.video import Part, Video

DIGITS = 2
"""Decimals of the shapes between keyframes: as CVAT writes them, when it writes every frame."""
_TRACK = frozenset({"id", "label", "source", "group_id", "task_id", "subset"})
_FOR_SHAPES = ("source", "group_id")


class Keys:
    """The shapes of a track that were read for a stretch of frames.

    Attributes:
        joints: of skeletons, the keyframes of each joint.
        lasting: whether the last shape stays to the end of the video.
    """

    def __init__(
        self, video: Video, part: Part, number: int, node: Node, owned: tuple[int, int], report: Report
    ) -> None:
        self.video = video
        self.part = part
        self.track = video.index.tracks[number]
        self.name = video.names[number]
        self.node = node
        self.owned = owned
        self.report = report
        self.joints: list[list[Joint]] = []
        self.lasting = True
        self._keys: list[Key] = []
        offsets = self.track.offsets
        begin, end = (offsets[0], offsets[-1]) if len(offsets) else (0, 0)
        self._place = Place(video.index.path, video.index.file, begin, end, node.children, report)
        self._frames: list[int] = []

    def where(self) -> Where:
        """The track's start."""
        return Where(file=self.video.index.file, line=self.track.line)

    def read(self) -> list[Key]:
        """Keyframes in the order of frames, as far as they can be read.

        Raises:
            ConvertError: one cannot be read, under the policy "fail".
        """
        label = self.node.attributes.get("label")
        unknown = self._unknown()
        before: Mapping[str, Any] = {}
        last = -1
        found: dict[int, Key] = {}
        for node in self.node.children:
            try:
                frame = self._frame(node, last)
            except ConvertError as error:
                if self._mine(max(last, 0)):
                    self._reject(error, node)
                continue
            last = max(last, frame)
            number = self.part.task.index(frame)
            mine = self._mine(frame)
            try:
                key = self._key(node, frame, number, label, unknown, before, mine=mine)
                if key.frame in found:
                    raise SchemaError(f"frame {frame} twice in one track", hint="remove one of the shapes")
            except ConvertError as error:
                if mine:
                    self._reject(error, node)
                continue
            found[key.frame] = key
            before = key.state.attributes
        self._keys = [found[frame] for frame in sorted(found)]
        self._frames = [key.frame for key in self._keys]
        return self._keys

    def template(self, frame: int) -> Annotation:
        """The annotation of the keyframe at or before a frame."""
        annotation: Annotation = self._keys[max(0, bisect_right(self._frames, frame) - 1)].state
        return annotation

    def _mine(self, frame: int) -> bool:
        """Whether this stretch is the one to report what is found at a frame."""
        low, high = self.owned
        task = self.part.task
        index = (frame - task.offset - task.start) // task.step
        return low <= index < high

    def _reject(self, error: ConvertError, node: Node) -> None:
        self._locate()
        self._place.reject(error, node)

    def _note(self, code: Code, what: str, node: Node) -> None:
        finding = self.report.findings.get((code, FORMAT, what))
        if finding is None or len(finding.examples) < 5:
            self._locate()
        self._place.note(code, what, node)

    def _locate(self) -> None:
        """Find out which stretch of the file the elements were read from: only errors ask."""
        offsets = self.track.offsets
        if not self.track.whole and len(offsets):
            first = self.node.children[0] if self.node.children else None
            text = "" if first is None else first.attributes.get("frame", "")
            if text.isdigit():
                at = max(0, bisect_right(self.track.frames, int(text)) - 1)
                self._place.begin = offsets[at]

    def _frame(self, node: Node, last: int) -> int:
        if node.tag not in KINDS or node.tag == "tag":
            raise SchemaError(f"<{node.tag:.40}> in a <track> is no shape")
        text = node.attributes.get("frame")
        if text is None:
            raise SchemaError(f"<{node.tag}> of a track without frame")
        return whole(text, "frame")

    def _unknown(self) -> dict[str, str]:
        """Attributes of the track that nobody knows."""
        said = self.node.attributes
        unknown = {key: value for key, value in said.items() if key not in _TRACK}
        if unknown and self.owned[0] < 0:
            for key in unknown:
                self.report.add(Code.UNKNOWN, f"attribute '{key:.40}' of <track>", format=FORMAT, where=self.where())
        return unknown

    def _key(
        self,
        node: Node,
        frame: int,
        number: int | None,
        label: str | None,
        unknown: dict[str, str],
        before: Mapping[str, Any],
        *,
        mine: bool,
    ) -> Key:
        task = self.part.task
        if label is None:
            raise SchemaError("<track> without a label", hint='give it label="..."')
        outside = node.tag != "skeleton" and flag(node.attributes.get("outside", "0"), "outside")
        index, rest = divmod(frame - task.offset - task.start, task.step)
        # A track that reaches the end may be ended by a shape on the frame after it.
        if number is None and (rest or index < 0 or (index > self.part.last and not outside)):
            raise SchemaError(
                f"frame {frame} is none of the task's: {task.frame(0)} to {task.frame(self.part.last)}"
                + (f" in steps of {task.step}" if task.step > 1 else ""),
                hint="mend the frame, or start_frame, stop_frame and frame_filter in <meta>",
            )
        if node.tag == "skeleton":
            self._add_joints(node, index, label)
        inherited = {key: self.node.attributes[key] for key in _FOR_SHAPES if key in self.node.attributes}
        said = Node(node.tag, {**inherited, **node.attributes}, node.children, node.text)
        note = (lambda code, what, inner: self._note(code, what, node if inner is said else inner)) if mine else _silent
        template = self.video.objects.annotation(said, task.width, task.height, note, label)
        changes: dict[str, Any] = {}
        if template.track is None and not self._says_no_track(node):
            changes["track"] = self.name
        if not self.video.ours and before.keys() - template.attributes.keys():
            changes["attributes"] = {**before, **template.attributes}
        if unknown:
            own = {**template.extras.get(FORMAT, {}), "track": unknown}
            changes["extras"] = {**template.extras, FORMAT: own}
        if changes:
            template = msgspec.structs.replace(template, **changes)
        # What was listed though nobody drew it is to be trusted, and not beyond.
        self.lasting = flag(node.attributes.get("keyframe", "1"), "keyframe")
        shape: Shape = template.shapes[0]
        return Key(index, shape, outside, template)

    def _says_no_track(self, node: Node) -> bool:
        """Whether this program wrote the shape as a track although it was in none."""
        kept = node.child(reserved.TAG)
        return kept is not None and "track" in reserved.load(kept.text).get("fields", ())

    def _add_joints(self, node: Node, index: int, label: str) -> None:
        known = self.video.objects.skeleton(label)
        names = known.names if known is not None else ()
        if not self.joints:
            own = names or tuple(dict.fromkeys(one.attributes.get("label", "") for one in node.children))
            self._names = {name: i for i, name in enumerate(own)}
            self.joints = [[] for _ in own]
        for joint in node.children:
            place = self._names.get(joint.attributes.get("label", ""))
            if joint.tag != "points" or place is None:
                continue
            from nucleus_convert.converters.cvat.objects import read_points

            x, y = read_points(joint)[:2]
            outside = flag(joint.attributes.get("outside", "0"), "outside")
            occluded = flag(joint.attributes.get("occluded", "0"), "occluded")
            keys = self.joints[place]
            if keys and keys[-1].frame >= index:
                continue  # the shape itself is refused
            keys.append(Joint(index, x, y, 0 if outside else 1 if occluded else 2))


def _silent(_code: Code, _what: str, _node: Node) -> None:
    """For shapes that another stretch of frames reports."""

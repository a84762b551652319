"""The labels of a source without a header: what its payloads tell about them."""

from __future__ import annotations

from typing import Any

import msgspec

from nucleus_convert.converters.model import Label
from nucleus_convert.converters.nucleus.metadata import KEY
from nucleus_convert.formats.nucleus.forms import Probe


class _Notes(msgspec.Struct):
    """What the payloads of a label say about it."""

    numbers: set[Any] = msgspec.field(default_factory=set)
    parents: set[Any] = msgspec.field(default_factory=set)
    names: set[tuple[str, ...]] = msgspec.field(default_factory=set)
    skeletons: set[str] = msgspec.field(default_factory=set)
    skeleton: list[Any] = msgspec.field(default_factory=list)


class Labels:
    """Collects labels in order of first appearance."""

    def __init__(self) -> None:
        self._notes: dict[str, _Notes] = {}

    def see_row(self, row: dict[str, Any]) -> None:
        """Take note of the labels of a payload, of its segments and of its list of labels."""
        meta = row.get("metadata")
        geometry = row.get("geometry")
        meta = meta if type(meta) is dict else {}
        geometry = geometry if type(geometry) is dict else {}
        self.see(
            _original(row.get("label"), meta.get(KEY)),
            meta.get("category_id"),
            meta.get("supercategory"),
            geometry.get("names"),
            geometry.get("skeleton"),
        )
        for label in _list(row.get("labels")):
            self.see(label)
        for segment in _list(row.get("annotations")):
            if type(segment) is dict:
                self.see_row(segment)

    def see_probe(self, probe: Probe) -> None:
        """Take note of the labels of a payload that was only looked at."""
        meta, geometry = probe.metadata, probe.geometry
        label = probe.label
        if meta is not None and meta.own is not None:
            label = _original(label, meta.own)
        self.see(
            label,
            None if meta is None else meta.category_id,
            None if meta is None else meta.supercategory,
            None if geometry is None else geometry.names,
            None if geometry is None else geometry.skeleton,
        )
        if probe.labels is not None or probe.annotations is not None:
            self.see_row({"labels": probe.labels, "annotations": probe.annotations})

    def see(self, label: Any, number: Any = None, parent: Any = None, names: Any = None, skeleton: Any = None) -> None:
        """Take note of a label, and of what one payload says about it."""
        if type(label) is not str:
            return
        notes = self._notes.get(label)
        if notes is None:
            notes = self._notes[label] = _Notes()
        if number is not None:
            notes.numbers.add(number if type(number) in (int, str) else None)
        if parent is not None:
            notes.parents.add(parent if type(parent) is str else None)
        if type(names) is list and all(type(name) is str for name in names):
            notes.names.add(tuple(names))
        if type(skeleton) is list and skeleton:
            notes.skeletons.add(repr(skeleton))
            notes.skeleton = skeleton

    def header(self) -> tuple[Label, ...]:
        """The labels, with what all their payloads agree on."""
        taken: set[Any] = set()
        made: list[Label] = []
        for name, notes in self._notes.items():
            number = _only(notes.numbers)
            if type(number) is not int or number in taken:
                number = None
            taken.add(number)
            names = _only(notes.names) or ()
            pairs = notes.skeleton if names and len(notes.skeletons) == 1 else []
            if not all(type(edge) is list and [type(end) for end in edge] == [int, int] for edge in pairs):
                pairs = []
            made.append(
                Label(
                    name=name,
                    id=number,
                    parent=_only(notes.parents),
                    keypoints=names,
                    skeleton=tuple((edge[0], edge[1]) for edge in pairs),
                )
            )
        return tuple(made)


def _original(label: Any, reserved: Any) -> Any:
    """The object's own label, where the payload's had to be another."""
    if type(reserved) is dict:
        tag, fields = reserved.get("tag"), reserved.get("fields")
        if type(tag) is list and tag:
            return tag[0]
        if type(fields) is dict and "label" in fields:
            return fields["label"]
    return label


def _only(values: set[Any]) -> Any:
    """The value, if there is exactly one."""
    return next(iter(values)) if len(values) == 1 else None


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []

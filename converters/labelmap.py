"""The label map (``--labels FILE``): rename, merge, drop, reorder and number labels, as a person asks for it.

An example, in YAML; TOML says the same::

    rename: {automobile: car}           # an object of "automobile" becomes one of "car"
    merge:  {vehicle: [truck, bus]}     # several become one, with the first one's number, family and colour
    drop:   [person]                    # the label goes, and its objects with it
    order:  [vehicle, car]              # in the header, by new name; labels not named follow
    only:   true                        # ... or are dropped
    ids:    {vehicle: 1}                # the numbers of labels, by new name
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from pydantic import BaseModel, Field

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import OptionError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Header, Label, Number, Record
from nucleus_convert.converters.options import did_you_mean, validated
from nucleus_convert.converters.report import Report


class LabelMap(BaseModel, extra="forbid", strict=True):
    """What a label map file says."""

    rename: dict[str, str] = Field(default={}, description="old name -> new name")
    merge: dict[str, list[str]] = Field(default={}, description="new name -> the old names that become it")
    drop: list[str] = Field(default=[], description="labels to leave out, with their objects")
    order: list[str] = Field(default=[], description="order of labels in the output, by new name")
    only: bool = Field(default=False, description="leave out labels that order does not name")
    ids: dict[str, int] = Field(default={}, description="numbers of labels, by new name")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, count in Counter(keys).items():
            if count > 1:
                problem = f"'{key}' is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


def load(path: Path) -> LabelMap:
    """Read a label map file: TOML or YAML, by its suffix.

    Raises:
        OptionError: it cannot be read, or holds what a label map does not.
    """
    where = Where(file=str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"the label map cannot be read ({getattr(error, 'strerror', error)})", where
        ) from error
    suffix = path.suffix.lower()
    try:
        if suffix == ".toml":
            values: Any = tomllib.loads(text)
        elif suffix in (".yaml", ".yml"):
            values = yaml.load(text, _Loader)
        else:
            raise OptionError(
                f"a label map is TOML or YAML, not '{suffix}'", where, hint="name it .toml or .yaml"
            )
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"the label map is not TOML: {error}", where) from error
    except RecursionError as error:
        raise OptionError("the label map is not YAML: it is nested too deeply", where) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        problem = getattr(error, "problem", None) or error
        raise OptionError(
            f"the label map is not YAML: {problem}", Where(file=str(path), line=line)
        ) from error
    if not isinstance(values, dict):
        raise OptionError("a label map is a table of rename, merge, drop, order, only, ids", where)
    made: LabelMap = validated(LabelMap, values, where)
    return made


def apply(labels: LabelSet, wanted: LabelMap, report: Report, *, where: Where | None = None) -> LabelSet:
    """The label set with its labels changed as wanted.

    Raises:
        OptionError: the map names a label that the data set does not have, or contradicts itself.
    """
    names = [label.name for label in labels.header.labels]
    mapping = _mapping(wanted, names, where)
    kept = _header_labels(labels.header.labels, mapping, wanted, where)
    if wanted.only:
        left = {label.name for label in kept}
        mapping = {old: new if new in left else None for old, new in mapping.items()}
    dropped = [old for old, new in mapping.items() if new is None]
    for old in dropped:
        # Said even of a label without objects, which goes from the header.
        report.add(Code.FILTERED, _dropped(old), count=0)
    step = _Relabel({old: new for old, new in mapping.items() if new != old})
    return labels.then(step, step.header(labels.header, tuple(kept), report))


def _mapping(wanted: LabelMap, names: list[str], where: Where | None) -> dict[str, str | None]:
    """Old name -> new name, or None where it is dropped."""
    mapping: dict[str, str | None] = {name: name for name in names}
    said: dict[str, str] = {}

    def say(old: str, new: str | None, key: str) -> None:
        if old not in mapping:
            hint = did_you_mean(old, names, "labels")
            raise OptionError(f"'{key}' names '{old}', which is no label of the source", where, hint)
        if old in said:
            raise OptionError(
                f"'{old}' is in both '{said[old]}' and '{key}'", where, hint="say one thing of it"
            )
        said[old] = key
        mapping[old] = new

    for new, olds in wanted.merge.items():
        for old in olds:
            say(old, new, "merge")
    for old, new in wanted.rename.items():
        say(old, new, "rename")
    for old in wanted.drop:
        say(old, None, "drop")
    for new, count in Counter(new for new in mapping.values() if new is not None).items():
        together = [old for old, name in mapping.items() if name == new]
        if count > 1 and set(together) != set(wanted.merge.get(new, ())):
            listed = ", ".join(f"'{old}'" for old in together)
            raise OptionError(
                f"{listed} would all be '{new}'",
                where,
                hint=f"if that is wanted, list them all in merge.{new}",
            )
    return mapping


def _header_labels(
    labels: tuple[Label, ...], mapping: Mapping[str, str | None], wanted: LabelMap, where: Where | None
) -> list[Label]:
    made: dict[str, Label] = {}
    first = {new: olds[0] for new, olds in wanted.merge.items() if olds}
    for label in labels:
        new = mapping[label.name]
        if new is not None and (new not in made or first.get(new) == label.name):
            made[new] = msgspec.structs.replace(label, name=new)
    for key, names in (("order", wanted.order), ("ids", list(wanted.ids))):
        for name in names:
            if name not in made:
                hint = did_you_mean(name, list(made), "labels")
                raise OptionError(f"'{key}' names '{name}', which is no label of the output", where, hint)
    if len(set(wanted.order)) < len(wanted.order):
        twice = next(name for name, count in Counter(wanted.order).items() if count > 1)
        raise OptionError(f"'order' names '{twice}' twice", where)
    if wanted.only and not wanted.order:
        raise OptionError("'only' needs 'order', the labels to keep", where)
    for name, number in wanted.ids.items():
        made[name] = msgspec.structs.replace(made[name], id=number)
    rest = [] if wanted.only else [name for name in made if name not in wanted.order]
    kept = [made[name] for name in (*wanted.order, *rest)]
    if wanted.ids:
        _check_numbers(kept, where)
    return kept


def _check_numbers(labels: list[Label], where: Where | None) -> None:
    by_number: dict[Any, str] = {}
    for label in labels:
        if label.id is not None and label.id in by_number:
            other = by_number[label.id]
            raise OptionError(
                f"'{other}' and '{label.name}' would both have the number {label.id}",
                where,
                hint="number both in ids",
            )
        by_number[label.id] = label.name


def _dropped(label: str) -> str:
    return f"label '{label}'"


class _Relabel(msgspec.Struct, frozen=True):
    """Old name -> new name, or None for a label whose objects go; names not in it stay."""

    mapping: dict[str, str | None]

    def __call__(self, record: Record, report: Report) -> Record:
        if not any(self._touches(annotation) for annotation in record.annotations):
            return record
        return Record(record.item, tuple(self._kept(record, report)))

    def header(self, header: Header, labels: tuple[Label, ...], report: Report) -> Header:
        """The header with the new labels, in its taxonomies and scenes too."""
        taxonomies = tuple(
            msgspec.structs.replace(taxonomy, labels=tuple(dict.fromkeys(self._names(taxonomy.labels))))
            for taxonomy in header.taxonomies
        )
        scenes = []
        for scene in header.scenes:
            said = []
            for category in scene.categories:
                where = Where(path=f"scene {scene.id}", annotation=_text(category.id))
                changed = self._changed(category, where, report)
                if changed is None:
                    report.add(Code.FILTERED, _dropped(str(category.label)), where=where)
                else:
                    said.append(changed)
            scenes.append(msgspec.structs.replace(scene, categories=tuple(said)))
        return msgspec.structs.replace(header, labels=labels, taxonomies=taxonomies, scenes=tuple(scenes))

    def _names(self, labels: tuple[str, ...]) -> Iterator[str]:
        for label in labels:
            new = self.mapping.get(label, label)
            if new is not None:
                yield new

    def _touches(self, annotation: Annotation) -> bool:
        return annotation.label in self.mapping or annotation.class_pdf is not None

    def _kept(self, record: Record, report: Report) -> Iterator[Annotation]:
        for annotation in record.annotations:
            if not self._touches(annotation):
                yield annotation
                continue
            where = Where(item=str(record.item.id), annotation=_text(annotation.id))
            changed = self._changed(annotation, where, report)
            if changed is not None:
                yield changed
                continue
            report.add(Code.FILTERED, _dropped(str(annotation.label)), where=where)
            report.ledger.drop_annotation(annotation.shapes)

    def _changed(self, annotation: Annotation, where: Where, report: Report) -> Annotation | None:
        """The annotation under its new label; None when its label is dropped."""
        old = annotation.label
        new = None if old is None else self.mapping.get(old, old)
        if old is not None and new is None:
            return None
        if new != old:
            report.add(Code.RELABELLED, f"{old} -> {new}", where=where)
        if annotation.class_pdf is None:
            return annotation if new == old else msgspec.structs.replace(annotation, label=new)
        pdf: dict[str, Number] = {}
        for name, value in annotation.class_pdf.items():
            renamed = self.mapping.get(name, name)
            if renamed is None:
                report.add(Code.FILTERED, f"probability of '{name}'", where=where)
            else:
                pdf[renamed] = pdf[renamed] + value if renamed in pdf else value
        # Without a distribution it must still be told from what a person drew.
        return msgspec.structs.replace(
            annotation, label=new, class_pdf=pdf or None, predicted=annotation.predicted or not pdf
        )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)

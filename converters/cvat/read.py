"""CVAT XML to records: an XML file, a folder or unpacked zip of one or more, of images or of video."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat import meta as metas
from nucleus_convert.converters.cvat.images import Images
from nucleus_convert.converters.cvat.items import subsets_of
from nucleus_convert.converters.cvat.meta import FORMAT
from nucleus_convert.converters.cvat.objects import Objects
from nucleus_convert.converters.cvat.options import ReadOptions
from nucleus_convert.converters.cvat.video import open_video
from nucleus_convert.converters.errors import SchemaError, UnknownFormatError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Header, Label, Record, Taxonomy
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import cvat as wire

_ROOT_KNOWN = ("version", "meta")


def sniff(source: Path) -> str | None:
    """None if this is CVAT XML; otherwise what is missing."""
    files = _files(source)
    if isinstance(files, str):
        return files
    return wire.look(files[0])


def _files(source: Path) -> list[Path] | str:
    """The XML files of a source, or why there are none."""
    if source.is_file():
        return [source] if source.suffix.lower() == ".xml" else "not an .xml file"
    own = source / "annotations.xml"
    if own.is_file():
        return [own]
    found = sorted(path for path in source.glob("*.xml") if path.is_file())
    found += sorted(path for path in source.glob("*/annotations.xml") if path.is_file())
    if not found:
        return "no annotations.xml"
    strange = [(path, why) for path in found if (why := wire.look(path)) is not None]
    if strange:
        return f"{strange[0][0].name}: {strange[0][1]}"
    return found


class Several(msgspec.Struct, frozen=True):
    """The records of several files, one after the other."""

    parts: tuple[Any, ...]
    sizes: tuple[int, ...]

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of items ``start`` to ``stop``."""
        begin = 0
        for part, count in zip(self.parts, self.sizes, strict=True):
            first = max(0, start - begin)
            last = count if stop is None else min(count, stop - begin)
            if first < last:
                yield from part(report, first, last)
            begin += count


class _Opened(msgspec.Struct):
    """A file that was opened: its header, records and their number."""

    header: Header
    source: Any
    size: int


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open CVAT XML.

    Args:
        source: an XML file, or a folder with ``annotations.xml``, or with several XML files.
        options: see :class:`ReadOptions`.
        report: findings of the first pass; those of the second go to the report given to ``records``.

    Raises:
        UnknownFormatError: there is none.
        ReadError: a file cannot be read, is no XML, or what all depends on is wrong.
    """
    files = _files(source)
    if isinstance(files, str):
        raise UnknownFormatError(f"no CVAT XML: {files}", Where(file=str(source)), "name the folder or the .xml file")
    opened = [_open(path, _shown(path, source), options, report) for path in files]
    if len(opened) == 1:
        one = opened[0]
        return LabelSet(one.header, one.source, size=one.size, images=_images(source))
    header = _merged([one.header for one in opened], report)
    records = Several(tuple(one.source for one in opened), tuple(one.size for one in opened))
    return LabelSet(header, records, size=sum(records.sizes), images=_images(source))


def _shown(path: Path, source: Path) -> str:
    return path.name if source.is_file() else path.relative_to(source).as_posix()


def _images(source: Path) -> Path:
    folder = source.parent if source.is_file() else source
    return folder / "images" if (folder / "images").is_dir() else folder


def _open(path: Path, shown: str, options: ReadOptions, report: Report) -> _Opened:
    index = wire.index(path, shown)
    where = Where(file=shown)
    root = index.head
    meta = root.child("meta")
    kept = _kept(meta, where)
    if kept.get("kind") == "video" and isinstance(index, wire.ImageIndex):
        index = wire.index(path, shown, tracks=True)
    version = root.said("version")
    if version is not None and version != "1.1":
        report.add(Code.ASSUMED, f"version {version:.20} read as 1.1", format=FORMAT, where=where)
    if metas.described(meta) is None:
        report.add(
            Code.ASSUMED,
            "no <meta>: labels are those that are used, their attributes are text",
            format=FORMAT,
            where=where,
        )
    try:
        tasks = metas.tasks(meta, where)
    except SchemaError as error:
        if error.where is not None and error.where.path is not None:
            error.where = Where(file=shown, line=wire.line_of_wrong(path, error.where.path))
        raise
    header = header_of(root, options.taxonomy, "images" if isinstance(index, wire.ImageIndex) else "video")
    declared = frozenset(label.name for label in header.labels)
    header = msgspec.structs.replace(header, labels=(*header.labels, *_undeclared(header.labels, index.labels)))
    for node in root.children:
        if node.tag not in _ROOT_KNOWN and node.tag != reserved.TAG:
            report.add(Code.UNKNOWN, f"element <{node.tag:.40}> in <annotations>", format=FORMAT, where=where)
    restored = reserved.restore_header(kept.get("header"), header, where)
    if "header" in kept:
        _overruled(header, restored, report, where)
    header = restored
    objects = Objects(header, declared, taxonomy=options.taxonomy, predictions=options.predictions)
    if isinstance(index, wire.ImageIndex):
        return _Opened(header, Images(index, objects, subsets_of(tasks)), index.count)
    video, header = open_video(index, header, objects, tasks, kept, options, report)
    return _Opened(header, video, video.count)


def header_of(root: wire.Node, taxonomy: str, kind: str) -> Header:
    """The header as the file's own elements say it."""
    meta = root.child("meta")
    labels = metas.read_labels(metas.labels_node(meta))
    own: dict[str, Any] = {"kind": kind}
    said = metas.without_labels(meta)
    if said:
        own["meta"] = said
    strange = [metas.pack(node) for node in root.children if node.tag not in (*_ROOT_KNOWN, reserved.TAG)]
    if strange:
        own["elements"] = strange
    return Header(labels=tuple(labels), taxonomies=_taxonomies(labels, taxonomy), extras={FORMAT: own})


def _overruled(said: Header, restored: Header, report: Report, where: Where) -> None:
    """Name what someone added to the head of a file that this program wrote: what was kept there is what counts."""
    known = msgspec.json.encode([restored.labels, restored.extras]).decode()
    meta = [metas.unpack(value) for value in said.extras[FORMAT].get("meta", ())]
    joints = [value for label in said.labels for value in label.extras.get(FORMAT, {}).get("sublabels", ())]
    strange = metas.strange([*meta, *map(metas.unpack, joints)])
    for label in said.labels:
        strange += metas.strange_label(label)
    for tag in strange:
        if json.dumps(tag) not in known:
            report.add(Code.DROPPED, f"element <{tag:.40}> in <meta>", format=FORMAT, where=where)


def _kept(meta: wire.Node | None, where: Where) -> dict[str, Any]:
    """What this program kept in ``<meta>``."""
    node = None if meta is None else meta.child(reserved.TAG)
    return {} if node is None else reserved.load(node.text, where)


def _undeclared(labels: Iterable[Label], used: list[str]) -> list[Label]:
    """Labels that are used and not declared; the joints of skeletons are not looked at."""
    known = {label.name for label in labels} | {name for label in labels for name in label.keypoints}
    return [Label(name=name) for name in used if name not in known]


def _taxonomies(labels: list[Label], taxonomy: str) -> tuple[Taxonomy, ...]:
    names = tuple(label.name for label in labels if label.extras.get(FORMAT, {}).get("type") == "tag")
    return (Taxonomy(taxonomy, names),) if names else ()


def _merged(headers: list[Header], report: Report) -> Header:
    """One header of several files': a label that two declare differently is the first one's."""
    labels: dict[str, Label] = {}
    for label in itertools.chain.from_iterable(header.labels for header in headers):
        first = labels.setdefault(label.name, label)
        if first != label:
            report.add(Code.LABEL_CONFLICT, f"'{label.name:.60}'", format=FORMAT)
    taxonomies: dict[str, dict[str, None]] = {}
    for one in itertools.chain.from_iterable(header.taxonomies for header in headers):
        taxonomies.setdefault(one.name, {}).update(dict.fromkeys(one.labels))
    return Header(
        labels=tuple(labels.values()),
        taxonomies=tuple(Taxonomy(name, tuple(names)) for name, names in taxonomies.items()),
        scenes=tuple(itertools.chain.from_iterable(header.scenes for header in headers)),
        extras=headers[0].extras,
    )

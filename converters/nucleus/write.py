"""A label set to a folder of Nucleus payloads."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.labelset import LabelSet, Memory
from nucleus_convert.converters.model import Id, Record, Tag
from nucleus_convert.converters.nucleus import metadata as meta_keys
from nucleus_convert.converters.nucleus import names
from nucleus_convert.converters.nucleus.chunks import Chunk, Frame, Settings
from nucleus_convert.converters.nucleus.encode import Encoder
from nucleus_convert.converters.nucleus.metadata import FORMAT, KEY, Kinds, Packer
from nucleus_convert.converters.nucleus.numbers import not_finite
from nucleus_convert.converters.nucleus.options import WriteOptions, wanted
from nucleus_convert.converters.nucleus.scenes import assemble
from nucleus_convert.converters.parallel import CHUNK, encode_chunks
from nucleus_convert.converters.protocol import Stretch, Target
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.saving import Behind
from nucleus_convert.formats.nucleus import wire
from nucleus_convert.formats.nucleus.parts import PartWriter, cut, rewrite
from nucleus_convert.formats.nucleus.wire import DECODE, ENCODER

_SHORT = 64
"""Bytes of a frame's metadata up to which it is held."""
_PROBES = 16
"""Records looked at to see whether the data set has several subsets."""


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write records that fit; see the package for what is written.

    Raises:
        UnrepresentableError: two items would have the same reference id, a number is NaN or infinite, an
            image path leads out of the image root, or one payload is larger than a part may be.
    """
    return _Writer(labels, target, options, report).run()


def excerpt(folder: Path, stretch: Stretch, into: Path) -> None:
    """Make a small data set in ``into`` of one stretch of the items that were written to ``folder``."""
    for stem, (start, stop) in stretch.bytes.items():
        paths = sorted(folder.glob(f"{stem}.jsonl")) or sorted(folder.glob(f"{stem}-*.jsonl"))
        if paths and stop > start:
            (into / f"{stem}.jsonl").write_bytes(cut(paths, start, stop))
    for name in (wire.DATASET, wire.TAXONOMIES):
        if (folder / name).exists():
            (into / name).write_bytes((folder / name).read_bytes())
    if (folder / wire.MASKS).is_dir():
        (into / wire.MASKS).symlink_to((folder / wire.MASKS).absolute(), target_is_directory=True)


class WithoutClouds(msgspec.Struct, frozen=True):
    """Leaves point clouds out, on request."""

    def __call__(self, record: Record, report: Report) -> Record | None:
        """The record, unless it is a point cloud."""
        if record.item.kind != "pointcloud":
            return record
        where = Where(item=str(record.item.id))
        report.add(Code.FILTERED, "point cloud (option pointclouds)", format=FORMAT, where=where)
        report.ledger.drop_record(record)
        return None


class _Writer:
    def __init__(self, labels: LabelSet, target: Target, options: WriteOptions, report: Report) -> None:
        self.labels = labels
        self.target = target
        self.options = options
        self.report = report
        self.folder = target.path
        prefix = options.mask_url_prefix or f"{target.final.as_posix()}/{wire.MASKS}"
        outlined = labels.outlined()
        clouds = options.pointcloud_url_prefix or f"{target.final.as_posix()}/{wire.CLOUDS}"
        self.settings = Settings(
            labels={label.name: label for label in labels.header.labels},
            shapes=wanted(options.shapes),
            segmentation=options.segmentation,
            overlap=options.overlap,
            overflow=options.overflow,
            simplify=options.simplify,
            reference_id=options.reference_id,
            several_subsets=several_subsets(outlined, report),
            image_root=options.image_root,
            scenes=options.scenes,
            pointclouds=options.pointclouds,
            images=labels.images,
            cloud_url_prefix=clouds if clouds.endswith("/") else f"{clouds}/",
            clouds=str(self.folder / wire.CLOUDS),
            mask_url_prefix=prefix if prefix.endswith("/") else f"{prefix}/",
            masks=str(self.folder / wire.MASKS),
        )
        if self.settings.straight:
            self.labels = outlined
        self.kinds = Kinds()
        self.item_kinds = Kinds()
        self.taxonomies: dict[str, dict[str, None]] = {
            taxonomy.name: dict.fromkeys(taxonomy.labels) for taxonomy in labels.header.taxonomies
        }
        self.masks: list[str] = []
        self.clouds: list[str] = []
        self.frames: list[tuple[int, Frame]] = []
        self.written: list[Path] = []
        self._spool: IO[bytes] | None = None
        self._seen: set[int] = set()
        self._stood: dict[str, str] = {}

    def run(self) -> list[Path]:
        limit = self.options.part_bytes
        with ExitStack() as stack:
            self._spool = stack.enter_context(tempfile.TemporaryFile())
            items, annotations, predictions, scenes = (
                stack.enter_context(PartWriter(self.folder, stem, limit))
                for stem in (wire.ITEMS, wire.ANNOTATIONS, wire.PREDICTIONS, wire.SCENES)
            )
            pictures = stack.enter_context(Behind())
            done = 0
            for chunk in encode_chunks(
                self.labels,
                Encoder(self.settings, pictures.add),
                self.report,
                workers=self.target.workers,
                progress=self.target.progress,
            ):
                self._check_references(chunk, done)
                places = {}
                for writer, lines in (
                    (items, chunk.items),
                    (annotations, chunk.annotations),
                    (predictions, chunk.predictions),
                ):
                    start = writer.written
                    writer.write(lines)
                    places[writer.stem] = (start, writer.written)
                self._collect(chunk, done)
                self._stood |= {cloud: image for cloud, image in chunk.stood.items() if hash(cloud) not in self._seen}
                self._mark(len(self.target.stretches), places)
                done += chunk.count
            self._check_clouds()
            known = {scene.id: scene for scene in self.labels.header.scenes}
            conflicts = self.item_kinds.conflicts
            assembled = assemble(
                self.frames,
                known,
                conflicts,
                self.report,
                texts=self._text,
                scene=scenes.write,
                item=items.write,
            )
            self._scene_categories(assembled.ids, annotations, predictions)
            paths = {
                wire.ITEMS: items.close(always=True),
                wire.ANNOTATIONS: annotations.close(always=True),
                wire.PREDICTIONS: predictions.close(),
                wire.SCENES: scenes.close(),
            }
        if self.frames or self.kinds.conflicts or conflicts:
            self.target.stretches.clear()  # scenes stand elsewhere; lines that are written again move
        self._one_kind_each(paths, conflicts, assembled.strings, assembled.kinds)
        for stem_paths in paths.values():
            self.written.extend(stem_paths)
        self._sidecars(_order(assembled.scene_positions, assembled.item_positions, done))
        folder = self.folder / wire.MASKS
        self.written.extend(folder / name for name in self.masks)
        self.written.extend(self.folder / wire.CLOUDS / name for name in self.clouds)
        return self.written

    # ------------------------------------------------------------------ as chunks come

    def _check_references(self, chunk: Chunk, done: int) -> None:
        seen = self._seen
        for i, reference in enumerate(chunk.references):
            key = hash(reference)
            if key in seen:
                self._check_collision(reference, done + i)
            seen.add(key)

    def _check_clouds(self) -> None:
        for cloud, image in self._stood.items():
            if hash(cloud) not in self._seen:
                raise UnrepresentableError(
                    f"item '{image}' names the point cloud '{cloud}' for its cuboids, which is not in the data set",
                    Where(item=image),
                    hint="--pointclouds none lets cuboids travel along with their images",
                )

    def _check_collision(self, reference: str, position: int) -> None:
        """Two reference ids with one hash: most likely they are the same, and then nothing may be written."""
        first: Id | None = None
        settings = self.settings
        for i, record in enumerate(self.labels.records(self.report.child(logged=False))):
            item = record.item
            here = names.reference_id(item, settings.reference_id, several=settings.several_subsets)
            if here == reference and i < position:
                first = item.id
            elif i == position and first is not None:
                raise UnrepresentableError(
                    f"items {first!r} and {item.id!r} would both have the reference id '{reference}'",
                    Where(item=str(item.id)),
                    hint="give --reference-id id, or make their paths differ",
                )
            elif i >= position:
                return

    def _collect(self, chunk: Chunk, done: int) -> None:
        self.kinds.merge(chunk.kinds)
        self.item_kinds.merge(chunk.item_kinds)
        self.masks.extend(chunk.masks)
        self.clouds.extend(chunk.clouds)
        for name, used in chunk.taxonomies.items():
            self.taxonomies.setdefault(name, {}).update(dict.fromkeys(used))
        for frame in chunk.frames:
            # Scenes are written when all frames have been seen: until then what is long waits on the disk.
            kept = msgspec.structs.replace(frame, metadata=self._put(frame.metadata), more=self._put(frame.more))
            self.frames.append((done + frame.index, kept))

    def _put(self, text: Any) -> Any:
        if len(text) <= _SHORT:
            return text
        assert self._spool is not None
        start = self._spool.seek(0, 2)
        return start, self._spool.write(text)

    def _text(self, kept: Any) -> bytes:
        if type(kept) is bytes:
            return kept
        assert self._spool is not None
        self._spool.seek(kept[0])
        return self._spool.read(kept[1])

    def _mark(self, number: int, places: dict[str, tuple[int, int]]) -> None:
        """Note where a chunk stands: each is of so many items of the source, read or not."""
        size = self.labels.size
        if size is not None:
            start = number * CHUNK
            self.target.stretches.append(Stretch(start, min(start + CHUNK, size), places))

    # ------------------------------------------------------------------ when all are seen

    def _scene_categories(self, written: set[str], annotations: PartWriter, predictions: PartWriter) -> None:
        packer = Packer(self.settings.labels)
        for scene in self.labels.header.scenes:
            if scene.id not in written or hash(scene.id) in self._seen:
                continue  # nothing, or not only the scene, is called so
            for category in scene.categories:
                tag = category.shape(Tag)
                if tag is None or not category.label:
                    continue
                line: dict[str, Any] = {
                    "label": category.label,
                    "type": "category",
                    "geometry": {},
                    "reference_id": scene.id,
                }
                meta = packer.annotation(category, reserved := {"v": meta_keys.VERSION})
                if len(reserved) > 1:
                    meta[KEY] = reserved
                if meta:
                    line["metadata"] = meta
                if tag.taxonomy is not None:
                    line["taxonomy_name"] = tag.taxonomy
                    self.taxonomies.setdefault(tag.taxonomy, {})[category.label] = None
                if category.confidence is not None:
                    line["confidence"] = category.confidence
                target = predictions if category.is_prediction else annotations
                target.write(ENCODER.encode(line) + b"\n")
        self.kinds.merge(packer.kinds)

    def _one_kind_each(
        self,
        paths: dict[str, list[Path]],
        item_conflicts: set[str],
        counts: Counter[str],
        scene_kinds: Kinds,
    ) -> None:
        """Turn numbers into text under each key that holds text too: Nucleus refuses keys of two kinds.

        ``counts`` are those of items in scenes, where that is done already.
        """
        scopes = (
            ((wire.ITEMS,), item_conflicts),
            ((wire.ANNOTATIONS, wire.PREDICTIONS), self.kinds.conflicts),
            ((wire.SCENES,), scene_kinds.conflicts),
        )
        for stems, conflicts in scopes:
            if conflicts:
                change = _Stringer(conflicts)
                for stem in stems:
                    paths[stem] = rewrite(paths[stem], self.options.part_bytes, stem, change)
                counts.update(change.counts)
        for key in sorted(counts):
            self.report.add(Code.METADATA_AS_STRING, f"'{key}'", format=FORMAT, count=counts[key])

    def _sidecars(self, order: list[int] | None) -> None:
        if self.taxonomies:
            rows = [wire.TaxonomyRow(taxonomy_name=name, labels=list(used)) for name, used in self.taxonomies.items()]
            self._save(wire.TAXONOMIES, rows)
        sidecar: dict[str, Any] = {"nucleus_convert": meta_keys.VERSION, "header": self.labels.header}
        if order is not None:
            sidecar["order"] = order
        self._save(wire.DATASET, sidecar)

    def _save(self, name: str, value: Any) -> None:
        if not_finite(msgspec.to_builtins(value)) is not None:
            raise UnrepresentableError(
                "a number in the data set's header is NaN or infinite, which JSON has no word for",
                hint="mend the value in the source",
            )
        path = self.folder / name
        path.write_bytes(msgspec.json.format(ENCODER.encode(value), indent=1) + b"\n")
        self.written.append(path)


class _Stringer:
    """Rewrites a line so that the numbers under some metadata keys are text; counts them by key."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = keys
        self.counts: Counter[str] = Counter()
        self._marks = [ENCODER.encode(key) + b":" for key in sorted(keys)]

    def __call__(self, line: bytes) -> bytes:
        if not any(mark in line for mark in self._marks):
            return line
        payload: dict[str, Any] = DECODE(line)
        changed: list[str] = []
        for holder in (payload, *(payload.get("annotations") or ())):
            metadata = holder.get("metadata")
            if metadata:
                changed += meta_keys.as_strings(metadata, self.keys)
        self.counts.update(changed)
        return ENCODER.encode(payload) + b"\n" if changed else line


def several_subsets(labels: LabelSet, report: Report) -> bool:
    """Whether the data set has more than one subset, as far as a look here and there tells.

    Data sets come subset by subset, so that the first and the last record nearly always tell.
    """
    source = labels.source
    if isinstance(source, Memory):
        return len({record.item.subset for record in source.held}) > 1
    size = labels.size
    quiet = report.child(logged=False)
    labels = labels.bare()
    last = max(size - 1, 0) if size else 0
    places = sorted({last * i // (_PROBES - 1) for i in range(_PROBES)})
    found: set[str | None] = set()
    for place in places:
        for record in islice(labels.records(quiet, place, place + 1), 1):
            found.add(record.item.subset)
    return len(found) > 1


def _order(scenes: list[int], items: list[int], count: int) -> list[int] | None:
    """Where records that were in a scene, or are single for want of one, stood; None where the files tell.

    Read back, the order is that of the items' lines, then of the scenes' frames.
    """
    late = [*items, *scenes]
    if not late:
        return None
    moved = set(late)
    order = [position for position in range(count) if position not in moved] + late
    return None if order == list(range(count)) else order

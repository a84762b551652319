"""A record to the files of its item, as bytes: in this process or another."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, Where
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Header,
    Item,
    Mask,
    Polygon,
    Record,
    Tag,
)
from nucleus_convert.converters.report import Fate, Report
from nucleus_convert.converters.voc import items as item_fields
from nucleus_convert.converters.voc import numbers, results
from nucleus_convert.converters.voc.dump import Dumper, clean, normal
from nucleus_convert.converters.voc.folders import Folder
from nucleus_convert.converters.voc.names import file_safe, item_name, list_safe
from nucleus_convert.formats import voc as wire

_NOWHERE = Path()
UNSPLIT = "default"
"""The list of items that belong to no subset: training code and CVAT look for a list."""
_LIST = re.compile(r"(Main|Segmentation|Layout|Action)/[^/\\\x00-\x1f]{1,200}")


class Encoded(msgspec.Struct):
    """The files of one item, and what goes into the lists; ``lines`` are (results file, rest of the line)."""

    name: str
    path: str | None
    subset: str
    xml: bytes | None = None
    classes: bytes | None = None
    instances: bytes | None = None
    tags: list[str] = []
    lists: dict[str, list[str]] = {}
    lines: list[tuple[str, str]] = []


class Encoder:
    """Makes the files of a stretch of records. Picklable."""

    def __init__(
        self, header: Header, indices: dict[str, int], coords: numbers.Coords, *, outward: bool
    ) -> None:
        self.fill = "voc" not in header.extras
        own = header.extras.get("voc", {})
        self.indices = indices
        self.sets: frozenset[str] = frozenset(name for name in own.get("sets", ()) if isinstance(name, str))
        stems = [stem for stem in own.get("results", ()) if isinstance(stem, str)]
        self.stem = stems[0] if len(stems) == 1 else None
        self.dumper = Dumper(coords, fill=self.fill, outward=outward)

    def __call__(self, records: Iterator[Record], report: Report) -> list[Encoded]:
        """Make the files of a stretch of records."""
        return [self._record(record, report) for record in records]

    def _record(self, record: Record, report: Report) -> Encoded:
        item = record.item
        subset = item.subset if item.subset is not None and list_safe(item.subset) else UNSPLIT
        made = Encoded(name=item_name(item), path=item.path, subset=subset)
        kept: dict[str, Any] = {}
        order: dict[str, list[tuple[Any, int]]] = {"objects": [], "tags": [], "lines": [], "carried": []}
        with_item: list[Annotation] = []
        drawn: list[Annotation] = []
        for place, annotation in enumerate(record.annotations):
            kind = self._kind(annotation)
            order[kind].append((len(order[kind]), place))
            if kind == "objects":
                drawn.append(annotation)
            elif kind == "carried":
                with_item.append(annotation)
        painted = self._paint(drawn, item, made, report)
        texts: list[str] = []
        for number, annotation in enumerate(drawn):
            text, fate = self.dumper.object(annotation, number in painted)
            texts.append(text)
            report.ledger.fate(fate)
        for annotation in with_item:
            fate = (("object", "carried"), *((KINDS[type(s)], "carried") for s in _want(annotation)))
            report.ledger.fate(fate)
        self._tags(record, made, order, kept, with_item, report)
        self._lines(record, made, order, kept, with_item, report)
        if with_item:
            kept["annotations"] = msgspec.to_builtins([_own(annotation) for annotation in with_item])
        natural = [place for kind in ("objects", "tags", "lines", "carried") for _, place in order[kind]]
        if natural != sorted(natural):
            kept["order"] = natural
        self._file(item, texts, kept, made, report)
        report.ledger.item("written")
        return made

    def _kind(self, annotation: Annotation) -> str:
        """Where an annotation goes: objects, tags (lists), lines (results), or carried with the item."""
        kinds = {type(shape) for shape in annotation.shapes}
        label = annotation.label
        if annotation.is_prediction:
            confidence = annotation.confidence
            said = confidence is not None and math.isfinite(confidence)
            if label and file_safe(label) and said and kinds & {Box, Tag}:
                return "lines"
            return "carried"
        if kinds & {Box, Polygon, Mask}:
            return "objects"
        if kinds == {Tag} and label and file_safe(label):
            return "tags"
        if not kinds and not self.fill and "voc" in annotation.extras:
            return "objects"  # a VOC source's own object without a box
        return "carried"

    # ------------------------------------------------------------------ lists and results

    def _tags(
        self,
        record: Record,
        made: Encoded,
        order: dict[str, list[tuple[Any, int]]],
        kept: dict[str, Any],
        with_item: list[Annotation],
        report: Report,
    ) -> None:
        """Classes said of the whole image: lines of Main's lists, and with the item where that is not all."""
        places = [place for _, place in order["tags"]]
        tags = [record.annotations[place] for place in places]
        made.tags = list(dict.fromkeys(str(tag.label) for tag in tags))
        exact = len(made.tags) == len(tags) and all(
            reserved.same(tag, Annotation(label=tag.label, shapes=(Tag(),))) for tag in tags
        )
        fate: Fate = (("object", "written"), ("tag", "written" if exact else "carried"))
        report.ledger.fate(fate, len(tags))
        if exact:
            ends = [made.subset, "trainval"]
            keys = {str(t.label): min(f"{t.label}_{end}" for end in ends[:1]) for t in tags}
            order["tags"] = sorted(
                (keys[str(tag.label)], place) for tag, place in zip(tags, places, strict=True)
            )
        else:
            kept["tags"] = "here"
            order["tags"] = []
            order["carried"] += [(None, place) for place in places]
            with_item += tags

    def _lines(
        self,
        record: Record,
        made: Encoded,
        order: dict[str, list[tuple[Any, int]]],
        kept: dict[str, Any],
        with_item: list[Annotation],
        report: Report,
    ) -> None:
        """Predictions: lines of results files, and with the item where a line does not say all."""
        places = [place for _, place in order["lines"]]
        predictions = [record.annotations[place] for place in places]
        exact = True
        keys: list[tuple[str, int]] = []
        fates: list[Fate] = []
        for number, annotation in enumerate(predictions):
            file, rest, read = results.dump(annotation, self._stem(annotation, made.subset))
            made.lines.append((file, rest))
            keys.append((file, number))
            want = _want(annotation)
            mine = self.stem is None and "results" in annotation.extras.get("voc", {})
            back = msgspec.structs.replace(read, extras=annotation.extras) if mine else read
            exact = exact and reserved.same(_own(annotation), back)
            shown = read.shapes[0]
            fates.append(
                (
                    ("object", "written"),
                    *((KINDS[type(s)], "written" if s == shown else "carried") for s in want),
                )
            )
        for fate in fates:
            report.ledger.fate(fate)
        if exact:
            order["lines"] = sorted(zip(keys, places, strict=True))
        else:
            kept["results"] = "here"
            order["lines"] = []
            order["carried"] += [(None, place) for place in places]
            with_item += predictions

    def _stem(self, annotation: Annotation, subset: str) -> str:
        """The beginning of a results file's name: competition, task and set."""
        task = "cls" if annotation.shape(Box) is None else "det"
        own = annotation.extras.get("voc", {}).get("results")
        for stem in (own, self.stem):
            if isinstance(stem, str) and wire.result_name(f"{stem}_x.txt") and f"{task}_" in stem:
                return stem
        end = "test" if subset == UNSPLIT else subset.replace("_", "-")
        return f"comp{4 if task == 'det' else 2}_{task}_{end}"

    # ------------------------------------------------------------------ masks

    def _paint(self, drawn: list[Annotation], item: Item, made: Encoded, report: Report) -> set[int]:
        """Paint the masks into a pair of pictures; returns which objects are there whole."""
        if not any(annotation.shape(Mask) for annotation in drawn):
            return set()
        from nucleus_convert.converters import indexmap, masks, palette, png  # heavy, and many sets have no mask

        layers: list[tuple[int, int, masks.Runs]] = []
        size: tuple[int, int] | None = None
        for number, annotation in enumerate(drawn):
            mask = annotation.shape(Mask)
            if mask is None:
                continue
            where = Where(item=str(item.path or item.id))
            index = self.indices.get(annotation.label or "")
            if index is None or number >= 254 or "mask" in annotation.derived:
                report.add(
                    Code.MASK_OVERFLOW, "only 254 objects and classes can be drawn", format="voc", where=where
                )
                continue
            try:
                runs = masks.read_counts(
                    mask.counts, mask.height, mask.width, max_pixels=masks.MAX_ARRAY_PIXELS, where=where
                )
            except ConvertError:
                continue
            if not masks.area(runs) or (size is not None and size != (mask.height, mask.width)):
                continue
            size = (mask.height, mask.width)
            layers.append((number, index, masks.canonical(runs)))
        if size is None:
            return set()
        instances = indexmap.paint([(number + 1, runs) for number, _, runs in layers], *size)
        whole: set[int] = set()
        for (number, _, runs), lost in zip(layers, instances.lost, strict=True):
            if lost:
                report.add(Code.MASK_OVERLAP, "SegmentationObject", format="voc",
                           where=Where(item=str(item.path or item.id)))  # fmt: skip
            elif masks.encode_counts(runs) == drawn[number].shape(Mask).counts:
                whole.add(number)
        classes = indexmap.paint([(index, runs) for _, index, runs in layers], *size)
        made.classes = png.encode(classes.pixels, palette=palette.voc_palette())
        made.instances = png.encode(instances.pixels, palette=palette.voc_palette())
        return whole

    # ------------------------------------------------------------------ the annotation file

    def _file(
        self, item: Item, texts: list[str], kept: dict[str, Any], made: Encoded, report: Report
    ) -> None:
        own = item.extras.get("voc", {})
        lists = own.get("lists", {})
        wanted = item
        if not self.fill and _lists_fit(lists):
            made.lists = {name: list(rests) for name, rests in lists.items()}
            others = {name: value for name, value in own.items() if name != "lists"}
            extras = {**item.extras, "voc": others}
            if not others:
                del extras["voc"]
            wanted = msgspec.structs.replace(item, extras=extras)
        if item.subset is not None and made.subset == item.subset:
            wanted = msgspec.structs.replace(wanted, subset=None)
        if not texts and not kept and made.classes is None:
            name = item_fields.stem_of(made.name)
            if reserved.same(wanted, item_fields.bare_item(name, Folder(_NOWHERE))):
                return
        fields = self._fields(item, own, made.classes is not None)
        found = item_fields.read_item(fields, made.name, Folder(_NOWHERE), True, _silent)
        if self.fill:
            found = item_fields.unfilled(found)
        carried = reserved.carried_item(wanted, found)
        if carried:
            kept["item"] = carried
        if "id" in carried:
            report.tally(Code.RENUMBERED, "image id", "voc", item, None, 1)
        if kept:
            fields[reserved.TAG] = reserved.text(kept)
        made.xml = wire.dump(fields, texts)

    def _fields(self, item: Item, own: Any, segmented: bool) -> dict[str, Any]:
        """The elements of the file but for its objects, in the usual order."""
        own = {name: value for name, value in own.items() if name not in ("lists", "annotation", "filename")}
        fields: dict[str, Any] = {
            name: value for name, value in own.items() if isinstance(name, str) and name.startswith("@")
        }
        depth = own.pop("depth", "3" if self.fill else None)
        if self.fill:
            own = {
                "folder": "JPEGImages",
                "source": {"database": "Unknown"},
                "segmented": str(int(segmented)),
            }
        if "folder" in own:
            fields["folder"] = own.pop("folder")
        fields["filename"] = item.path if item.path is not None else f"{item_name(item)}.jpg"
        for name in ("path", "source", "owner"):
            if name in own:
                fields[name] = own.pop(name)
        size: dict[str, Any] = {}
        if item.width is not None and item.height is not None:
            size = {"width": item.width, "height": item.height}
        if depth is not None:
            size["depth"] = depth
        more = own.pop("size", None)
        if isinstance(more, dict):
            size.update(more)
        if size:
            fields["size"] = size
        fields.update((name, value) for name, value in own.items() if name not in fields and name != "object")
        made = normal(fields)
        assert isinstance(made, dict)
        made["filename"] = clean(fields["filename"])
        return made


def _own(annotation: Annotation) -> Annotation:
    """The annotation with only the shapes that the source gave it."""
    return msgspec.structs.replace(annotation, shapes=_want(annotation), derived=())


def _want(annotation: Annotation) -> tuple[Any, ...]:
    return annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]


def _silent(code: str, what: str) -> None:
    pass


def _lists_fit(lists: Any) -> bool:
    """Whether lines of lists that came with an item can be written as they are."""
    return isinstance(lists, dict) and all(
        isinstance(name, str)
        and _LIST.fullmatch(name)
        and isinstance(rests, list | tuple)
        and all(isinstance(rest, str) and "\n" not in rest for rest in rests)
        for name, rests in lists.items()
    )

"""The one mask picture of an item: up to 255 values, each a mask, or all masks of a label.

Heavy to import, for what it takes to make pictures, and many data sets have no mask: to be imported with the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from nucleus_convert.converters import masks, png
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.compose import Layer, compose, report_losses
from nucleus_convert.converters.errors import ConvertError, Where
from nucleus_convert.converters.model import Annotation, Item, Mask
from nucleus_convert.converters.nucleus import names
from nucleus_convert.converters.nucleus.decode import SEGMENTATION
from nucleus_convert.converters.nucleus.metadata import FORMAT, KEY, MASK, SEGMENT, VERSION
from nucleus_convert.converters.nucleus.payloads import UNLABELLED
from nucleus_convert.formats.nucleus import wire

if TYPE_CHECKING:
    from nucleus_convert.converters.nucleus.encode import Stretch


class _Segment(msgspec.Struct):
    """A mask that has an index of its own. ``meta`` is its segment's metadata."""

    layer: Layer
    meta: dict[str, Any]
    mask: Mask
    stands_in: bool
    """Whether it is drawn for another shape, which travels along."""
    more: dict[str, Any]


class Picture:
    """The masks of an item that people (or models) drew, and payloads whose picture was not to be had."""

    def __init__(self, stretch: Stretch, item: Item, reference: str, *, predicted: bool) -> None:
        self.stretch = stretch
        self.reference = reference
        self.predicted = predicted
        self.place = Where(item=str(item.path or item.id))
        self._size = None if item.height is None or item.width is None else (item.height, item.width)
        self._drawn: dict[int, Layer] = {}
        self._segments: dict[int, _Segment] = {}
        self._line: dict[str, Any] = {}
        self._given: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        self._last: tuple[Mask | None, Any] = (None, None)
        self._box: tuple[Any, tuple[int, int, int, int]] = (None, (0, 0, 0, 0))

    def runs(self, mask: Mask) -> Any:
        """The runs of a mask, checked; the last one's are kept, since they are asked for twice."""
        if self._last[0] is not mask:
            self._last = (mask, masks.read_counts(mask.counts, mask.height, mask.width, where=self.place))
        return self._last[1]

    def box(self, runs: Any, height: int) -> tuple[int, int, int, int]:
        """The box of a mask's runs; the last one's is kept, since it is asked for twice."""
        if self._box[0] is not runs:
            self._box = (runs, masks.box(runs, height))
        return self._box[1]

    def fits(self, mask: Mask, annotation: Annotation) -> bool:
        """Whether a mask is of the picture's size; if not, that is reported."""
        if self._size is None:
            self._size = (mask.height, mask.width)
        if (mask.height, mask.width) != self._size or mask.height * mask.width > masks.MAX_ARRAY_PIXELS:
            where = Where(item=self.place.item, annotation=None if annotation.id is None else str(annotation.id))
            what = "mask that is not of its image's size"
            self.stretch.report.add(Code.CARRIED, what, format=FORMAT, where=where)
            return False
        return True

    def _layer(self, annotation: Annotation, ordinal: int, mask: Mask, key: int | str, name: str) -> Layer:
        known = name or (None if annotation.id is None else str(annotation.id))
        where = Where(item=self.place.item, annotation=known)
        label = annotation.label or UNLABELLED
        layer = self._drawn[ordinal] = Layer(key, label, self.runs(mask), bool(annotation.crowd), where)
        return layer

    def share(self, annotation: Annotation, ordinal: int, mask: Mask, label: str) -> None:
        """Add a mask to those that share the index of their label."""
        self._layer(annotation, ordinal, mask, label, "")

    def add(
        self,
        annotation: Annotation,
        ordinal: int,
        mask: Mask,
        meta: dict[str, Any],
        reserved: dict[str, Any],
        name: str,
        *,
        stands_in: bool,
    ) -> None:
        """Add a mask with an index of its own; ``reserved`` goes into ``meta``."""
        runs = self.runs(mask)
        if not stands_in and not masks.is_usual(mask.counts, runs):
            # The picture gives the usual text for these pixels, and this is another.
            reserved.setdefault("shapes", []).append(msgspec.to_builtins(mask))
        own = annotation.extras.get(FORMAT, {})
        self._line = self._line or own.get(MASK) or {}
        self._confidence(annotation, meta)
        if len(reserved) > 1:
            meta[KEY] = reserved
        layer = self._layer(annotation, ordinal, mask, ordinal, name)
        self._segments[ordinal] = _Segment(layer, meta, mask, stands_in, own.get(SEGMENT) or {})

    def add_given(self, annotation: Annotation, meta: dict[str, Any]) -> None:
        """Add a segment of a payload whose picture was not to be had, to give it back as it came."""
        own = annotation.extras[FORMAT]
        line = dict(own[MASK])
        index = line.pop("index", None)
        self._confidence(annotation, meta)
        segment = {"label": annotation.label or UNLABELLED, "index": index}
        if meta:
            segment["metadata"] = meta
        segment.update(own.get(SEGMENT, {}))
        self._given.setdefault(str(line["mask_url"]), (line, []))[1].append(segment)

    def _confidence(self, annotation: Annotation, meta: dict[str, Any]) -> None:
        if self.predicted and annotation.confidence is not None:
            meta["confidence"] = annotation.confidence
            self.stretch.packer.kinds.note("confidence", annotation.confidence)

    def finish(self, free: Callable[[str], str]) -> list[Any]:
        """Write the picture; the payloads. ``free`` makes an id that no other payload has."""
        lines: list[Any] = []
        if self._drawn:
            try:
                lines.append(self._paint(free))
            except ConvertError as error:
                error.where = error.where or self.place
                raise
        for line, segments in self._given.values():
            lines.append({"type": "mask", **line, "annotations": segments, "reference_id": self.reference})
        return lines

    def _paint(self, free: Callable[[str], str]) -> Any:
        ordinals = sorted(self._drawn)  # "later" is later among the objects
        layers = [self._drawn[ordinal] for ordinal in ordinals]
        picture, indices, losses = self._pixels(layers)
        segments: list[Any] = []
        shared: dict[str, tuple[int, int]] = {}  # label -> index, objects
        for ordinal, layer, index, lost in zip(ordinals, layers, indices, losses, strict=True):
            own = self._segments.get(ordinal)
            if own is None:
                shared[layer.label] = index, shared.get(layer.label, (0, 0))[1] + 1
                continue
            if lost and not own.stands_in:
                self._carry(own)
            segment = wire.Segment(layer.label, index, own.meta or None)
            segments.append({**msgspec.to_builtins(segment), **own.more} if own.more else segment)
        for label, (index, count) in shared.items():
            meta = {"objects": count, KEY: {"v": VERSION, "merged": count}}
            segments.append(wire.Segment(label, index, meta))
        file = names.mask_name(self.reference, predicted=self.predicted)
        self.stretch.save_mask(file, picture)
        name = free(str(self._line.get("annotation_id", SEGMENTATION)))
        payload = wire.MaskPayload(self.stretch.settings.mask_url_prefix + file, segments, self.reference, name)
        known = ("annotation_id", "mask_url", "index")
        more = {key: value for key, value in self._line.items() if key not in known}
        return {**msgspec.to_builtins(payload), **more} if more else payload

    def _pixels(self, layers: list[Layer]) -> tuple[bytes, tuple[int, ...], tuple[int, ...]]:
        """The picture as PNG; the index of each layer, and how many of its pixels others cover."""
        assert self._size is not None
        if len(layers) == 1:
            runs, (height, width) = layers[0].runs, self._size
            _, top, _, rows = self.box(runs, height)
            if rows:
                above, below = png.margins(top, top + rows - 1, height)
                lines = masks.scanlines(runs, height, width, above, below)
                return png.encode_lines(lines, height, width, above, below), (1,), (0,)
        settings = self.stretch.settings
        composed = compose(layers, *self._size, overlap=settings.overlap, overflow="fail")
        report_losses(composed, layers, settings.overlap, self.stretch.report, format=FORMAT)
        return png.encode(composed.pixels), composed.indices, composed.lost

    def _carry(self, segment: _Segment) -> None:
        """A mask that others cover in part travels along whole."""
        carried = segment.meta.setdefault(KEY, {"v": VERSION}).setdefault("shapes", [])
        if not any(shape["type"] == "mask" for shape in carried):
            carried.append(msgspec.to_builtins(segment.mask))

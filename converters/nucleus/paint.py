"""The one mask picture of an item: up to 255 masks, each a value, later ones on top."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, Where
from nucleus_convert.converters.model import Annotation, Item, Mask
from nucleus_convert.converters.nucleus import names
from nucleus_convert.converters.nucleus.decode import SEGMENTATION
from nucleus_convert.converters.nucleus.metadata import FORMAT, KEY, MASK, SEGMENT, VERSION
from nucleus_convert.converters.nucleus.payloads import UNLABELLED
from nucleus_convert.formats.nucleus import wire

if TYPE_CHECKING:
    from nucleus_convert.converters.nucleus.encode import Stretch

MOST_SEGMENTS = 255


class _Layer(msgspec.Struct):
    """A mask in the picture. ``meta`` is its segment's metadata, ``name`` is for reports."""

    label: str
    meta: dict[str, Any]
    mask: Mask
    runs: Any
    name: str | None
    more: dict[str, Any]


class Picture:
    """The masks of an item that people (or models) drew, and payloads whose picture was not to be had."""

    def __init__(self, stretch: Stretch, item: Item, reference: str, *, predicted: bool) -> None:
        self.stretch = stretch
        self.reference = reference
        self.predicted = predicted
        self.place = Where(item=str(item.path or item.id))
        self._size = None if item.height is None or item.width is None else (item.height, item.width)
        self._layers: list[_Layer] = []
        self._line: dict[str, Any] = {}
        self._given: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        self._last: tuple[Mask | None, Any] = (None, None)

    def runs(self, mask: Mask) -> Any:
        """The runs of a mask, checked; the last one's are kept, since they are asked for twice."""
        if self._last[0] is not mask:
            from nucleus_convert.converters import masks  # heavy, and many data sets have no mask

            self._last = (mask, masks.read_counts(mask.counts, mask.height, mask.width, where=self.place))
        return self._last[1]

    def has_room(self, mask: Mask, name: str | None) -> bool:
        """Whether a mask can be painted; if not, that is reported."""
        from nucleus_convert.converters import masks

        if self._size is None:
            self._size = (mask.height, mask.width)
        where = msgspec.structs.replace(self.place, annotation=name)
        report = self.stretch.report
        if (mask.height, mask.width) != self._size or mask.height * mask.width > masks.MAX_ARRAY_PIXELS:
            report.add(Code.CARRIED, "mask that is not of its image's size", format=FORMAT, where=where)
            return False
        if len(self._layers) >= MOST_SEGMENTS:
            report.add(Code.MASK_OVERFLOW, "masks past the 255th", format=FORMAT, where=where)
            return False
        return True

    def add(
        self, annotation: Annotation, mask: Mask, meta: dict[str, Any], reserved: dict[str, Any], name: str
    ) -> None:
        """Add a mask on top of the others; ``reserved`` goes into ``meta``."""
        from nucleus_convert.converters import masks

        runs = self.runs(mask)
        if not masks.is_canonical(runs) or masks.encode_counts(runs) != mask.counts:
            # The picture gives the usual text for these pixels, and this is another.
            reserved.setdefault("shapes", []).append(msgspec.to_builtins(mask))
        own = annotation.extras.get(FORMAT, {})
        self._line = self._line or own.get(MASK) or {}
        self._confidence(annotation, meta)
        if len(reserved) > 1:
            meta[KEY] = reserved
        known = name or (None if annotation.id is None else str(annotation.id))
        label = annotation.label or UNLABELLED
        self._layers.append(_Layer(label, meta, mask, runs, known, own.get(SEGMENT) or {}))

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
        if self._layers:
            try:
                lines.append(self._paint(free))
            except ConvertError as error:
                error.where = error.where or self.place
                raise
        for line, segments in self._given.values():
            lines.append({"type": "mask", **line, "annotations": segments, "reference_id": self.reference})
        return lines

    def _paint(self, free: Callable[[str], str]) -> Any:
        from nucleus_convert.converters import indexmap, png

        assert self._size is not None
        painted = indexmap.paint([(i, layer.runs) for i, layer in enumerate(self._layers, 1)], *self._size)
        segments: list[Any] = []
        for i, (layer, lost) in enumerate(zip(self._layers, painted.lost, strict=True), 1):
            if lost:
                self._covered(layer, lost)
            segment = wire.Segment(layer.label, i, layer.meta or None)
            segments.append({**msgspec.to_builtins(segment), **layer.more} if layer.more else segment)
        file = names.mask_name(self.reference, predicted=self.predicted)
        self.stretch.save_mask(file, png.encode(painted.pixels))
        name = free(str(self._line.get("annotation_id", SEGMENTATION)))
        payload = wire.MaskPayload(
            self.stretch.settings.mask_url_prefix + file, segments, self.reference, name
        )
        known = ("annotation_id", "mask_url", "index")
        more = {key: value for key, value in self._line.items() if key not in known}
        return {**msgspec.to_builtins(payload), **more} if more else payload

    def _covered(self, layer: _Layer, lost: int) -> None:
        """A mask that others cover in part travels along whole."""
        carried = layer.meta.setdefault(KEY, {"v": VERSION}).setdefault("shapes", [])
        if not any(shape["type"] == "mask" for shape in carried):
            carried.append(msgspec.to_builtins(layer.mask))
        self.stretch.report.add(
            Code.MASK_OVERLAP,
            "later masks on top",
            format=FORMAT,
            where=msgspec.structs.replace(self.place, annotation=layer.name),
            measure=("pixels covered", lost),
        )


def is_given(annotation: Annotation) -> bool:
    """Whether an annotation is a segment whose picture was not to be had."""
    held = annotation.extras.get(FORMAT, {}).get(MASK)
    return not annotation.shapes and isinstance(held, dict) and bool(held.get("mask_url"))

"""What an encoder is told, and what it gives for a stretch of records: picklable, since workers do the encoding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.compose import Overflow, Overlap
from nucleus_convert.converters.model import Label
from nucleus_convert.converters.nucleus.metadata import Kinds
from nucleus_convert.converters.nucleus.options import Pointclouds, ReferenceId, Scenes
from nucleus_convert.converters.nucleus.regions import Segmentation


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an encoder needs to know. Picklable."""

    labels: Mapping[str, Label]
    shapes: frozenset[str] | None
    segmentation: Segmentation
    overlap: Overlap
    overflow: Overflow
    simplify: float
    reference_id: ReferenceId
    scenes: Scenes
    several_subsets: bool
    image_root: str | None
    pointclouds: Pointclouds
    images: Path | None
    """The folder that paths of items are relative to, as far as it is known."""
    cloud_url_prefix: str
    clouds: str
    """The folder that point clouds are written to."""
    mask_url_prefix: str
    masks: str
    """The folder that mask pictures are written to."""

    @property
    def straight(self) -> bool:
        """Whether a polygon, and a box that it gives, become a polygon payload."""
        return self.shapes is None and self.segmentation in ("auto", "polygon")


class Frame(msgspec.Struct, frozen=True, gc=False):
    """An item that belongs into a scene.

    ``metadata`` and ``more`` (unknown keys) are JSON, or where it stands in the writer's spool.
    """

    index: int
    reference_id: str
    kind: str
    url: str
    metadata: bytes | tuple[int, int]
    more: bytes | tuple[int, int] = b"{}"
    scene: str | None = None
    frame: int = 0
    sensor: str | None = None


class Chunk(msgspec.Struct):
    """A stretch of records, encoded."""

    count: int
    items: bytes
    annotations: bytes
    predictions: bytes
    references: list[str]
    frames: list[Frame]
    kinds: Kinds
    item_kinds: Kinds
    taxonomies: dict[str, list[str]]
    masks: list[str]
    clouds: list[str]
    stood: dict[str, str]
    """Point clouds that cuboids of images stand in, and an image of each."""


class ItemPayload(msgspec.Struct, omit_defaults=True, gc=False):
    """An image that is not part of a scene."""

    image_url: str
    reference_id: str
    metadata: Any = None

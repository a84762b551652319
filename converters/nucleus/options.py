"""Options of reading and writing Nucleus payloads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from nucleus_convert.converters.compose import Overflow, Overlap
from nucleus_convert.converters.nucleus.regions import Segmentation
from nucleus_convert.converters.optionmodel import Options, option
from nucleus_convert.formats.nucleus import wire

ReferenceId: TypeAlias = Literal["path", "stem", "name", "id"]
Scenes: TypeAlias = Literal["auto", "none"]
Pointclouds: TypeAlias = Literal["convert", "reference", "none"]
DRAWN = ("polygon", "mask", "box", "line", "keypoints", "cuboid", "tag")
"""The kinds of shapes that payloads can draw, in the order an object's payloads are written."""


class ReadOptions(Options):
    """How to read Nucleus payloads."""

    predictions: bool = option(False, description="Take everything for predictions, whatever the files are called.")
    mask_folder: Path | None = option(
        None,
        description="Folder with the PNGs that mask payloads name, where mask_url does not lead to them.",
    )


def _known(value: str) -> str:
    wanted(value)
    return value


class WriteOptions(Options):
    """How to write Nucleus payloads."""

    shapes: str = option(
        "auto",
        check=_known,
        description="shapes to write as payloads: auto (the most exact region, keypoints, lines, cuboids,"
        " tags; the box only where the region does not give it), all, or a comma-separated list of box,"
        " region, polygon, mask, line, keypoints, cuboid, tag; an object without any of these is written as"
        " with auto, and what is no payload travels in metadata",
    )
    segmentation: Segmentation = option(
        "auto",
        description="regions as polygons, or as pixels of each image's one PNG: an index for each object"
        " (instance), each label (semantic), or each object and each label of stuff (panoptic); auto: as the"
        " source has them, masks as instances",
    )
    overlap: Overlap = option("later", description="the mask on top where masks overlap in the PNG")
    overflow: Overflow = option(
        "largest",
        description="more than 255 masks in an image: fail, an index for each label instead, or the largest"
        " only (the others travel along)",
    )
    simplify: float = option(0.0, ge=0, description="pixels by which corners of polygons made of masks may be left out")
    reference_id: ReferenceId = option(
        "path",
        description="What items are called: their relative path, its stem, its name, or the source's id.",
    )
    scenes: Scenes = option(
        "auto",
        description="write frames as scenes, or (none) images as single items; point clouds can only be uploaded in"
        " a scene and then have one each",
    )
    pointclouds: Pointclouds = option(
        "convert",
        description="point clouds: written as Nucleus has them where they are found (convert), said where they are"
        " as they are (reference), or left out (none); cuboids then travel along with their images",
    )
    pointcloud_url_prefix: str | None = option(
        None,
        description="Folder or URL prefix that converted point clouds will be at; by default the folder written.",
    )
    image_root: str | None = option(
        None, description="Folder or URL prefix that image paths are relative to, such as s3://bucket/images."
    )
    mask_url_prefix: str | None = option(
        None,
        description="Folder or URL prefix that the masks will be at; by default the masks folder written.",
    )
    part_bytes: int = option(
        wire.PART_BYTES,
        ge=1,
        description="Split JSON Lines files at this size; the service takes no larger upload.",
    )


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How an upload is to go.

    Attributes:
        asynchronous: whether masks are to be uploaded asynchronously.
        part_bytes: the largest upload.
        placed: whether the files are the user's; of files that are there for the check only, sizes do not matter,
            and places are told by item and id.
    """

    asynchronous: bool = False
    part_bytes: int = wire.PART_BYTES
    placed: bool = True


def wanted(value: str) -> frozenset[str] | None:
    """The kinds that an explicit list of shapes names; None for "auto".

    Raises:
        ValueError: a word that is none of them.
    """
    if value == "auto":
        return None
    kinds: set[str] = set()
    for word in value.split(","):
        name = word.strip()
        if name == "all":
            kinds.update(DRAWN)
        elif name == "region":
            kinds.update(("polygon", "mask"))
        elif name in DRAWN:
            kinds.add(name)
        else:
            raise ValueError(f"'{name}' is no shape; give auto, all, region, or some of {', '.join(DRAWN)}")
    return frozenset(kinds)

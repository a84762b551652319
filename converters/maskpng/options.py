"""What a person can choose when PNG masks are read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nucleus_convert.converters.compose import Overflow, Overlap
from nucleus_convert.converters.optionmodel import Options, option


class ReadOptions(Options):
    """Options of the reader of PNG masks. A folder with a manifest of ours needs none."""

    pixels: Literal["auto", "mask", "semantic", "instance"] = option(
        "auto",
        description="what pixels say: one mask a picture (mask), class (semantic), or object (instance);"
        " auto: mask if a picture has two values, else semantic",
    )
    classes: Path | None = option(
        None, description="names of the indices: a text file, one a line, or JSON or YAML of index: name"
    )
    label: str = option("object", description="label of masks that no class file names")
    ignore: tuple[int, ...] = option(
        (), description="index that stands for nothing beside 0, such as 255 (void)"
    )
    images: Path | None = option(
        None, description="folder with the images, to find each picture's image by its name without suffix"
    )


class WriteOptions(Options):
    """Options of the writer of PNG masks."""

    layout: Literal["mask", "instance", "semantic"] = option(
        "mask",
        description="a picture for each mask, or for each image one with an index for each object or class",
    )
    ones: bool = option(False, description="set pixels are 1, not 255 (layout mask)")
    palette: bool = option(False, description="colour the indices as Pascal VOC does")
    overlap: Overlap = option("later", description="the mask on top where masks overlap in one picture")
    overflow: Overflow = option(
        "fail",
        description="more than 255 objects in one picture: fail, write classes instead, or the largest only",
    )

"""What a person can choose when PNG masks are read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from nucleus_convert.converters.compose import Overflow, Overlap


class ReadOptions(BaseModel, extra="forbid"):
    """Options of the reader of PNG masks. A folder with a manifest of ours needs none."""

    pixels: Literal["auto", "mask", "semantic", "instance"] = Field(
        "auto",
        description="what pixels say: one mask a picture (mask), class (semantic), or object (instance);"
        " auto: mask if a picture has two values, else semantic",
    )
    classes: Path | None = Field(
        None, description="names of the indices: a text file, one a line, or JSON or YAML of index: name"
    )
    label: str = Field("object", description="label of masks that no class file names")
    ignore: tuple[int, ...] = Field(
        (), description="index that stands for nothing beside 0, such as 255 (void)"
    )
    images: Path | None = Field(
        None, description="folder with the images, to find each picture's image by its name without suffix"
    )


class WriteOptions(BaseModel, extra="forbid"):
    """Options of the writer of PNG masks."""

    layout: Literal["mask", "instance", "semantic"] = Field(
        "mask",
        description="a picture for each mask, or for each image one with an index for each object or class",
    )
    ones: bool = Field(False, description="set pixels are 1, not 255 (layout mask)")
    palette: bool = Field(False, description="colour the indices as Pascal VOC does")
    overlap: Overlap = Field("later", description="the mask on top where masks overlap in one picture")
    overflow: Overflow = Field(
        "fail",
        description="more than 255 objects in one picture: fail, write classes instead, or the largest only",
    )

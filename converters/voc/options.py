"""What a person can choose when Pascal VOC is read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pydantic


class ReadOptions(pydantic.BaseModel, extra="forbid", frozen=True):
    """Options of the VOC reader."""

    coords: Literal["auto", "voc", "edges"] = pydantic.Field(
        "auto",
        description="what xmin..ymax mean: pixel numbers from 1, both ends included, as the development kit"
        " has them (voc), or edges (edges); auto: decided once for the data set, and reported",
    )
    parts: Literal["keep", "boxes"] = pydantic.Field(
        "keep",
        description="parts of objects (head, hand, foot): kept with the object, or objects of their own",
    )
    void: Literal["drop", "label"] = pydantic.Field(
        "drop",
        description="pixels marked 255 in masks: left out and counted, or objects with the label 'void'",
    )
    exif: Literal["apply", "ignore"] = pydantic.Field(
        "apply",
        description="where the size comes from the image: turned by its EXIF orientation, or as stored",
    )
    predictions: bool = pydantic.Field(False, description="read every object as a model's prediction")


class WriteOptions(pydantic.BaseModel, extra="forbid", frozen=True):
    """Options of the VOC writer."""

    coords: Literal["auto", "voc", "edges"] = pydantic.Field(
        "auto",
        description="write pixel numbers from 1, both ends included (voc), or edges (edges);"
        " auto: as a VOC source had them, otherwise edges",
    )
    rounding: Literal["none", "outward"] = pydantic.Field(
        "none",
        description="write boxes as they are (none), or in whole pixels that cover them (outward; the exact"
        " box travels along)",
    )
    images: Literal["link", "copy", "none"] = pydantic.Field(
        "none", description="put the images into JPEGImages: as links, as copies, or not at all"
    )
    image_root: Path | None = pydantic.Field(
        None,
        description="the folder that the source's image paths are relative to, if the source does not say",
    )

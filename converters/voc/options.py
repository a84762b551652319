"""What a person can choose when Pascal VOC is read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nucleus_convert.converters.optionmodel import Options, option


class ReadOptions(Options):
    """Options of the VOC reader."""

    coords: Literal["auto", "voc", "edges"] = option(
        "auto",
        description="what xmin..ymax mean: pixel numbers from 1, both ends included, as the development kit"
        " has them (voc), or edges (edges); auto: decided once for the data set, and reported",
    )
    parts: Literal["keep", "boxes"] = option(
        "keep",
        description="parts of objects (head, hand, foot): kept with the object, or objects of their own",
    )
    void: Literal["drop", "label"] = option(
        "drop",
        description="pixels marked 255 in masks: left out and counted, or objects with the label 'void'",
    )
    exif: Literal["apply", "ignore"] = option(
        "apply",
        description="where the size comes from the image: turned by its EXIF orientation, or as stored",
    )
    predictions: bool = option(False, description="read every object as a model's prediction")


class WriteOptions(Options):
    """Options of the VOC writer."""

    coords: Literal["auto", "voc", "edges"] = option(
        "auto",
        description="write pixel numbers from 1, both ends included (voc), or edges (edges);"
        " auto: as a VOC source had them, otherwise edges",
    )
    rounding: Literal["none", "outward"] = option(
        "none",
        description="write boxes as they are (none), or in whole pixels that cover them (outward; the exact"
        " box travels along)",
    )
    images: Literal["link", "copy", "none"] = option(
        "none", description="put the images into JPEGImages: as links, as copies, or not at all"
    )
    image_root: Path | None = option(
        None,
        description="the folder that the source's image paths are relative to, if the source does not say",
    )

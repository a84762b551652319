"""What a person can choose when COCO is read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nucleus_convert.converters.optionmodel import Options, option


class ReadOptions(Options):
    """Options of the COCO reader."""

    ground_truth: Path | None = option(
        None, description="the ground-truth file that names a results file's images and categories"
    )
    panoptic_masks: Path | None = option(
        None, description="the folder of a panoptic file's PNGs [default: the file's name without .json]"
    )
    predictions: bool = option(False, description="read every annotation as a model's prediction")
    bbox: Literal["check", "xywh"] = option(
        "check", description="refuse boxes that look like corners or fractions (check), or trust them (xywh)"
    )


class WriteOptions(Options):
    """Options of the COCO writer."""

    results: Literal["auto", "separate", "inline"] = option(
        "auto",
        description="predictions in a results file (separate), or in the data set with their score (inline);"
        " auto: as the source had them",
    )
    kind: Literal["auto", "instances", "panoptic"] = option(
        "auto", description="write panoptic segments with PNGs, or objects; auto: panoptic if the source was"
    )
    indent: bool = option(False, description="one row a line, for people")

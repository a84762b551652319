"""What a person can choose when YOLO is read or written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypeAlias

from nucleus_convert.converters.imagefile import Exif, Placing
from nucleus_convert.converters.optionmodel import Options, option

Task: TypeAlias = Literal["detect", "segment", "pose", "obb", "classify"]
Trailing: TypeAlias = Literal["auto", "none", "confidence", "track", "confidence-track", "track-confidence"]
_PAIR = re.compile(r"^\s*(\d{1,6})\s*[x,]\s*(\d{1,6})\s*$")


def _size(value: str | None) -> str | None:
    if value is not None and (not (match := _PAIR.match(value)) or "0" in (match[1], match[2])):
        raise ValueError(f"write it as WIDTHxHEIGHT, such as 640x480, not {value!r}")
    return value


def _shape(value: str | None) -> str | None:
    if value is None or value == "infer":
        return value
    match = _PAIR.match(value)
    if not match or match[2] not in ("2", "3") or not 0 < int(match[1]) <= 10_000:
        raise ValueError(f"write it as K,D with D 2 or 3, such as 17,3, or infer; not {value!r}")
    return value


class ReadOptions(Options):
    """Options of the YOLO reader."""

    task: Literal["auto", "detect", "segment", "pose", "obb", "classify"] = option(
        "auto", description="what the label lines are; auto: recognised line by line, doubts are reported"
    )
    trailing: Trailing = option(
        "auto", description="columns after the shape: confidence, track, both in either order, or none"
    )
    kpt_shape: str | None = option(
        None,
        check=_shape,
        description="keypoints as K,D (17,3 or 17,2) where data.yaml does not say; infer: work it out",
    )
    names: Path | None = option(None, description="a data.yaml, or class names one a line")
    unknown_class: Literal["error", "name"] = option(
        "error", description="a class number without a name is an error, or is named class_<number>"
    )
    root: Path | None = option(
        None, description="the folder that data.yaml's paths are relative to, if it is not the source's own"
    )
    image_size: str | None = option(
        None, check=_size, description="WIDTHxHEIGHT of images whose size is not to be had otherwise"
    )
    sizes: Path | None = option(
        None, description='a manifest of image sizes: lines of "name" HEIGHT WIDTH, or name,WIDTH,HEIGHT'
    )
    exif: Exif = option(
        "apply", description="an image turned by EXIF was labelled as seen (apply) or as stored (ignore)"
    )
    predictions: bool = option(False, description="read every line as a model's prediction")


class WriteOptions(Options):
    """Options of the YOLO writer."""

    task: Literal["auto", "detect", "segment", "pose", "obb", "classify"] = option(
        "auto", description="what to write; auto: the source's task, or the one that says most of its shapes"
    )
    parts: Literal["bridge", "split", "largest"] = option(
        "bridge",
        description="regions of parts or with holes: a ring with bridges, a line a part, the largest part",
    )
    class_ids: Literal["auto", "order", "keep"] = option(
        "auto",
        description="class numbers: the labels' order, or their own (gaps are filled); auto: keep 0 to n-1",
    )
    confidence: bool = option(True, description="write the confidence of predictions as a column")
    track_ids: bool = option(False, description="write track ids as the last column")
    clip: bool = option(
        True, description="clip what leaves the image (Ultralytics skips such images)"
    )
    digits: int | None = option(
        None,
        ge=3,
        le=17,
        description="decimals of a number; without it, as many as give the same pixels again",
    )
    sidecar: bool = option(
        True, description="put what YOLO has no word for into nucleus_convert.jsonl, for the return trip"
    )
    images: Placing = option("none", description="images beside the labels: links, copies, or none")
    image_root: Path | None = option(None, description="the folder that images are taken from")


def pair(text: str) -> tuple[int, int]:
    """The two numbers of a size or a keypoint shape that has been checked."""
    match = _PAIR.match(text)
    assert match is not None
    return int(match[1]), int(match[2])

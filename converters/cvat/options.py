"""What a person can choose when CVAT XML is read or written."""

from __future__ import annotations

import re
from typing import Literal

from nucleus_convert.converters.optionmodel import Options, option

FRAME_NAME = "frame_{frame:06}.PNG"


def _known(value: str) -> str:
    if value not in ("all", "keyframes") and not re.fullmatch(r"0*[1-9]\d{0,8}", value):
        raise ValueError(f"'{value}' is neither all, keyframes nor a number from 1")
    return value


def _usable(value: str) -> str:
    try:
        one, other = (value.format(frame=n, index=n, task="t") for n in (1, 2))
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"no pattern of {{frame}}, {{index}} and {{task}}: {error}") from error
    if one == other:
        raise ValueError("all frames would have one name; use {frame}")
    return value


class ReadOptions(Options):
    """Options of the CVAT reader."""

    frames: str = option(
        "all",
        check=_known,
        description="frames of a video to read: all, keyframes (those on which someone drew), or every N, as a number",
    )
    video: Literal["scenes", "items"] = option(
        "scenes", description="what a video becomes: a scene of frames, or single items"
    )
    frame_name: str = option(
        FRAME_NAME,
        check=_usable,
        description="the images' names of a video's frames; {frame} is the frame's number in the video, {frame:06} the"
        " same with leading zeros, {index} its number among those annotated, {task} the task's name",
    )
    frame_rate: float | None = option(
        None, gt=0, description="frames a second of a video, which CVAT's XML does not say"
    )
    taxonomy: str = option("tags", min_length=1, description="the taxonomy of tags, which CVAT has no word for")
    predictions: bool = option(False, description="read every object as a model's prediction")

    @property
    def every(self) -> int:
        """Of so many frames one is read."""
        return int(self.frames) if self.frames not in ("all", "keyframes") else 1


class WriteOptions(Options):
    """Options of the CVAT writer."""

    kind: Literal["auto", "images", "video"] = option(
        "auto",
        description="which of CVAT's formats: 'CVAT for images 1.1', or 'CVAT for video 1.1' with tracks; auto: video"
        " where the source is one video, or videos from CVAT",
    )

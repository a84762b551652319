"""What a person can choose when CVAT XML is read or written."""

from __future__ import annotations

import re
from typing import Literal

import pydantic

FRAME_NAME = "frame_{frame:06}.PNG"


class ReadOptions(pydantic.BaseModel, extra="forbid", frozen=True):
    """Options of the CVAT reader."""

    frames: str = pydantic.Field(
        "all",
        description="frames of a video to read: all, keyframes (those on which someone drew), or every N, as a number",
    )
    video: Literal["scenes", "items"] = pydantic.Field(
        "scenes", description="what a video becomes: a scene of frames, or single items"
    )
    frame_name: str = pydantic.Field(
        FRAME_NAME,
        description="the images' names of a video's frames; {frame} is the frame's number in the video, {frame:06} the"
        " same with leading zeros, {index} its number among those annotated, {task} the task's name",
    )
    frame_rate: float | None = pydantic.Field(
        None, gt=0, description="frames a second of a video, which CVAT's XML does not say"
    )
    taxonomy: str = pydantic.Field("tags", min_length=1, description="the taxonomy of tags, which CVAT has no word for")
    predictions: bool = pydantic.Field(False, description="read every object as a model's prediction")

    @pydantic.field_validator("frames")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("all", "keyframes") and not re.fullmatch(r"0*[1-9]\d{0,8}", value):
            raise ValueError(f"'{value}' is neither all, keyframes nor a number from 1")
        return value

    @pydantic.field_validator("frame_name")
    @classmethod
    def _usable(cls, value: str) -> str:
        try:
            one, other = (value.format(frame=n, index=n, task="t") for n in (1, 2))
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"no pattern of {{frame}}, {{index}} and {{task}}: {error}") from error
        if one == other:
            raise ValueError("all frames would have one name; use {frame}")
        return value

    @property
    def every(self) -> int:
        """Of so many frames one is read."""
        return int(self.frames) if self.frames not in ("all", "keyframes") else 1


class WriteOptions(pydantic.BaseModel, extra="forbid", frozen=True):
    """Options of the CVAT writer."""

    kind: Literal["auto", "images", "video"] = pydantic.Field(
        "auto",
        description="which of CVAT's formats: 'CVAT for images 1.1', or 'CVAT for video 1.1' with tracks; auto: video"
        " where the source is one video, or videos from CVAT",
    )

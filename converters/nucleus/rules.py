"""Rules about single rows of Nucleus data: payloads, items and scenes as the SDK and the service want them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from nucleus_convert.converters.checking import values
from nucleus_convert.converters.checking.catalogue import Code
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.nucleus.metadata import KEY
from nucleus_convert.converters.nucleus.pictures import is_remote
from nucleus_convert.converters.nucleus.tables import scene_items
from nucleus_convert.formats.nucleus import forms, wire

Place: TypeAlias = Callable[..., Where]
"""Gives the place of something in the row, by its JSON path without the $, and its annotation's id."""

VIDEO_ITEMS = 3000
MASK_VALUES = 256
_ITEM_KEYS = frozenset(
    {"reference_id", "metadata", "width", "height", "type", "camera_params", "embedding_info", "phash"}
    | {"dataset_item_id", "ref_id", *wire.LOCATIONS}
)
_IMAGE = ("image_url", "original_image_url", "processed_url")


class Rules:
    """Checks rows by themselves.

    Args:
        problems: gets what is found.
        asynchronous: whether the upload is to be asynchronous, which takes no local masks.
    """

    def __init__(self, problems: Problems, *, asynchronous: bool) -> None:
        self.problems = problems
        self.asynchronous = asynchronous

    # ------------------------------------------------------------------ payloads

    def payload(self, row: Any, where: Place, *, predicted: bool) -> None:
        """Check a payload as the struct of its type."""
        add = self.problems.add
        if not values.confident(row.confidence):
            add(Code.CONFIDENCE_RANGE, "", where(".confidence"))
        if row.class_pdf is not None:
            for code, what in values.distribution(row.class_pdf):
                add(code, what, where(".class_pdf"))
        kind = type(row)
        if kind is wire.KeypointsRow:
            self._keypoints(row, where, predicted=predicted)
        elif kind is wire.MaskRow:
            self._segments(row, where)
        elif kind is wire.MultiCategoryRow:
            add(Code.MULTICATEGORY, "", where(".type"))
        if kind is not wire.MaskRow and kind is not wire.MultiCategoryRow and not row.label:
            add(Code.NO_LABEL, "", where(".label"))

    def _keypoints(self, row: Any, where: Place, *, predicted: bool) -> None:
        geometry = row.geometry
        for code, what in values.keypoints(len(geometry.keypoints), geometry.names, geometry.skeleton or ()):
            path = ".geometry.names" if code is Code.KEYPOINT_NAMES else ".geometry.skeleton"
            self.problems.add(code, what, where(path))
        if geometry.skeleton is None and predicted:
            self.problems.add(Code.KEYPOINT_SKELETON, "a prediction without one", where(".geometry"))
        for number, point in enumerate(geometry.keypoints):
            if point.visible and (point.x is None or point.y is None):
                what = "visible, but without x and y"
            elif (point.x is None) != (point.y is None):
                what = "only one of x and y"
            else:
                continue
            self.problems.add(Code.KEYPOINT_PLACE, what, where(f".geometry.keypoints[{number}]"))

    def _segments(self, row: Any, where: Place) -> None:
        add = self.problems.add
        seen: set[int] = set()
        for number, segment in enumerate(row.annotations):
            index = segment.index
            what = None
            if type(index) is not int:
                what = "without a whole number as its index"
            elif not 0 <= index < MASK_VALUES:
                what = "index not within 0 to 255"
            elif index in seen:
                what = "an index stands twice"
            if what is not None:
                add(Code.SEGMENT_INDEX, what, where(f".annotations[{number}].index"))
            else:
                seen.add(index)
            if not segment.label:
                add(Code.NO_LABEL, "", where(f".annotations[{number}].label"))
        url = row.mask_url
        if not url:
            add(Code.MASK_MISSING, "", where(".mask_url"))
        elif not is_remote(url):
            self.local("mask", where(".mask_url"), allowed=not self.asynchronous)
            if PurePosixPath(url.replace("\\", "/")).suffix != ".png":
                add(Code.MASK_NOT_PNG, "the suffix is not .png", where(".mask_url"))

    def local(self, what: str, where: Where, *, allowed: bool) -> None:
        """Tell of a local path."""
        if allowed:
            self.problems.add(Code.LOCAL_FILE, f"{what}s", where)
        else:
            self.problems.add(Code.LOCAL_PATH, what, where)

    def unknown(self, extras: Mapping[str, Any], where: Place) -> None:
        """Tell of keys that the SDK does not know."""
        for key, value in extras.items():
            if key == "geometry" and type(value) is dict:
                for inner in value:
                    self.problems.add(Code.UNKNOWN_KEY, f"'geometry.{inner}'", where(f".geometry.{inner}"))
            else:
                self.problems.add(Code.UNKNOWN_KEY, f"'{key}'", where(f".{key}"))

    # ------------------------------------------------------------------ items

    def item(self, row: dict[str, Any], where: Place, *, inside: bool = False) -> str | None:
        """Check an item.

        Returns:
            Its location, if it has one.
        """
        add = self.problems.add
        pictures: set[str] = set()
        clouds: set[str] = set()
        for key in (*_IMAGE, "pointcloud_url", "url"):
            url = row.get(key)
            if not url:
                continue
            if type(url) is not str:
                add(Code.BAD_PAYLOAD, "a location that is no text", where(f".{key}"))
                return None
            cloud = row.get("type") == "pointcloud" if key == "url" else key == "pointcloud_url"
            (clouds if cloud else pictures).add(url)
        if not pictures and not clouds:
            add(Code.NO_LOCATION, "without a location", where())
        elif pictures and clouds:
            add(Code.NO_LOCATION, "with the locations of an image and of a point cloud", where())
        elif clouds and not inside:
            add(Code.NO_LOCATION, "that is a point cloud, and not within a scene", where())
        for key in ("width", "height"):
            value = row.get(key)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                add(Code.BAD_PAYLOAD, f"{key} of an item", where(f".{key}"))
        for key in row.keys() - _ITEM_KEYS:
            if row[key] is not None:
                add(Code.UNKNOWN_KEY, f"'{key}'", where(f".{key}"))
        urls = sorted(pictures | clouds)
        if not urls:
            return None
        if not is_remote(urls[0]):
            self.local("item of a scene" if inside else "item", where(), allowed=not inside)
        return str(urls[0])

    # ------------------------------------------------------------------ scenes

    def scene(self, row: dict[str, Any], where: Place) -> None:
        """Check a scene, apart from its items."""
        frames = row.get("frames")
        video = row.get("video_url")
        if type(frames) is dict:
            frames = self._numbered(frames, where)
        if frames is not None and type(frames) is not list:
            self.problems.add(Code.BAD_PAYLOAD, "frames of a scene", where(".frames"))
            return
        if not frames and not video:
            self.problems.add(Code.SCENE_EMPTY, "", where())
            return
        first = next((frame for frame in frames or () if type(frame) is dict and frame), None)
        if video or (first is not None and type(forms.normal(first).get("reference_id")) in (str, int)):
            self._video(row, frames or [], video, where)
        else:
            self._lidar(frames or [], where)

    def _numbered(self, frames: dict[str, Any], where: Place) -> list[Any]:
        """Frames by their number as a list; numbers that do not follow one another are told."""
        numbers = [int(key) if key.isascii() and key.isdigit() else -1 for key in frames]
        if sorted(numbers) != list(range(len(numbers))):
            self.problems.add(Code.SCENE_FRAMES, "are not numbered from 0 without gaps", where(".frames"))
        return [frames[key] for _, key in sorted(zip(numbers, frames, strict=True))]

    def _video(self, row: dict[str, Any], frames: list[Any], video: Any, where: Place) -> None:
        rate = row.get("frame_rate")
        add = self.problems.add
        if frames and video and row.get("upload_to_scale", True):
            add(Code.SCENE_VIDEO, "with frames and a video_url", where(".video_url"))
        if frames and not (isinstance(rate, int | float) and rate > 0):
            add(Code.SCENE_VIDEO, "with frames but without a frame_rate above 0", where(".frame_rate"))
        elif not frames and rate:
            add(Code.SCENE_VIDEO, "with a video_url and a frame_rate", where(".frame_rate"))
        if len(frames) > VIDEO_ITEMS:
            add(Code.VIDEO_TOO_LONG, "", where(".frames"))
        if type(video) is str and video and not is_remote(video):
            self.local("video", where(".video_url"), allowed=False)
        for number, frame in enumerate(frames):
            if type(frame) is not dict or not frame:
                add(Code.SCENE_FRAMES, "that are empty", where(f".frames[{number}]"))
            elif not forms.reference_of(forms.normal(frame).get("reference_id")):
                add(Code.NO_REFERENCE_ID, "frame of a video", where(f".frames[{number}]"))
            elif frame.get("type") == "pointcloud" or frame.get("pointcloud_url"):
                add(Code.SCENE_VIDEO, "with a point cloud", where(f".frames[{number}]"))

    def _lidar(self, frames: list[Any], where: Place) -> None:
        add = self.problems.add
        sensors: set[str] = set()
        for number, frame in enumerate(frames):
            path = f".frames[{number}]"
            if type(frame) is not dict or not frame:
                add(Code.SCENE_FRAMES, "that are empty", where(path))
                continue
            for name, entry in frame.items():
                if type(entry) is not dict:
                    add(Code.BAD_PAYLOAD, "what a sensor saw is no item", where(f"{path}.{name}"))
            clouds = [name for name, entry in frame.items() if type(entry) is dict and is_pointcloud(entry)]
            if len(clouds) != 1:
                what = "with a frame without a point cloud" if not clouds else "with a frame of several point clouds"
                add(Code.SCENE_POINTCLOUD, what, where(path))
            sensors.update(clouds)
        if len(sensors) > 1:
            add(Code.SCENE_POINTCLOUD, "whose point clouds are of several sensors", where(".frames"))

    def renumbered(self, row: dict[str, Any], where: Place) -> None:
        """Tell of a scene whose frames this program moved together."""
        for number, _, entry in scene_items(row):
            metadata = entry.get("metadata")
            reserved = metadata.get(KEY) if type(metadata) is dict else None
            if type(reserved) is dict and reserved.get("frame", number) != number:
                self.problems.add(Code.FRAME_GAP, "", where(f".frames[{number}]"))
                return


def is_pointcloud(entry: dict[str, Any]) -> bool:
    """Whether an item within a scene is a point cloud."""
    kind = entry.get("type")
    if kind is not None:
        return bool(kind == "pointcloud")
    url = entry.get("url")
    return bool(entry.get("pointcloud_url")) or (type(url) is str and url.endswith(".json"))


def default_id(row: Any) -> str | None:
    """The ``annotation_id`` that the SDK gives a payload without one, which may collide; None: it stays without."""
    if type(row) is wire.BoxRow:
        box = row.geometry
        return f"{row.label}-{box.x}-{box.y}-{box.width}-{box.height}-{row.reference_id}"
    if type(row) is wire.KeypointsRow:
        return f"{row.label}-{row.reference_id}-keypoints"
    return None

"""Items with a place in a scene, put together to scenes when all have been seen.

Nucleus wants each frame of a lidar scene to hold one point cloud, of the same sensor, and each frame of a
video to be one image, without gaps. What is not so is written as single items, and its place travels along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.model import Scene
from nucleus_convert.converters.nucleus.chunks import Frame
from nucleus_convert.converters.nucleus.metadata import (
    FORMAT,
    KEY,
    OWN_KEYS,
    VERSION,
    Kinds,
    Packer,
    as_strings,
)
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.nucleus.wire import DECODE, ENCODER

Write: TypeAlias = Callable[[bytes], None]
Texts: TypeAlias = Callable[[Any], bytes]
"""Gives the JSON of a frame's ``metadata`` or ``more``, which the writer may keep elsewhere."""


class Assembled(msgspec.Struct):
    """Where the records of the lines stood that went to ``scenes.jsonl`` and ``items.jsonl``."""

    scene: Write
    item: Write
    texts: Texts
    scene_positions: list[int]
    item_positions: list[int]
    kinds: Kinds
    ids: set[str]
    strings: Counter[str] = msgspec.field(default_factory=Counter)
    """How often numbers under a metadata key were written as text."""


def assemble(
    frames: list[tuple[int, Frame]],
    scenes: Mapping[str, Scene],
    numeric_text: set[str],
    report: Report,
    *,
    texts: Texts,
    scene: Write,
    item: Write,
) -> Assembled:
    """Make the lines, one scene at a time.

    Args:
        frames: (position among all records, item) in order.
        scenes: of the header, by id.
        numeric_text: item metadata keys whose numbers must be written as text.
        report: told about scenes that Nucleus cannot hold.
        texts: gives the metadata of frames.
        scene: takes the lines of scenes.
        item: takes the lines of single items.
    """
    done = Assembled(scene, item, texts, [], [], Kinds(), set())
    by_scene: dict[str, list[tuple[int, Frame]]] = {name: [] for name in scenes}
    single: list[tuple[int, Frame]] = []
    for position, frame in frames:
        if frame.scene is None:
            single.append((position, frame))
        else:
            by_scene.setdefault(frame.scene, []).append((position, frame))
    packer = Packer({})
    for name, members in by_scene.items():
        lidar = any(frame.kind == "pointcloud" for _, frame in members)
        made = scenes.get(name) or Scene(id=name, kind="lidar" if lidar else "video")
        problem = _problem(made, members)
        if problem:
            report.add(Code.CARRIED, f"scene {problem}", format=FORMAT, where=Where(item=name))
            single.extend(members)
            continue
        scene(_scene(made, members, packer, numeric_text, done, report))
        done.scene_positions.extend(position for position, _ in members)
        done.ids.add(name)
    done.kinds = packer.item_kinds
    for position, frame in sorted(single, key=lambda entry: entry[0]):
        metadata = _metadata(frame, numeric_text, done)
        if frame.scene is not None:
            place = {"id": frame.scene, "frame": frame.frame, "sensor": frame.sensor}
            _note(metadata, "scene", {key: value for key, value in place.items() if value is not None})
        more = DECODE(texts(frame.more))
        if frame.kind == "pointcloud":
            # A point cloud can only be uploaded in a scene: it gets one of its own.
            inside = _frame_item(frame, metadata, more)
            own = {
                "reference_id": frame.reference_id,
                "frames": [{frame.sensor or "lidar": inside}],
                "metadata": {KEY: {"v": VERSION, "made": True}},
            }
            scene(ENCODER.encode(own) + b"\n")
            done.scene_positions.append(position)
        else:
            line_ = {"image_url": frame.url, "reference_id": frame.reference_id, **more}
            if metadata:
                line_["metadata"] = metadata
            item(ENCODER.encode(line_) + b"\n")
            done.item_positions.append(position)
    return done


def _problem(scene: Scene, members: list[tuple[int, Frame]]) -> str | None:
    """Why Nucleus cannot hold a scene as it is, or None."""
    if not members:
        return None if scene.video_url and scene.kind == "video" else "without frames"
    frames: dict[int, list[Frame]] = {}
    for _, member in members:
        frames.setdefault(member.frame, []).append(member)
    if scene.kind == "video":
        if any(len(frame) > 1 for frame in frames.values()):
            return "of several videos side by side"
        if any(member.kind != "image" for _, member in members):
            return "of kind video with point clouds"
        return None
    clouds = [[member.sensor for member in frame if member.kind == "pointcloud"] for frame in frames.values()]
    if any(len(sensors) != 1 for sensors in clouds) or len({sensors[0] for sensors in clouds}) != 1:
        return "that has not one point cloud of the same sensor in each frame"
    for frame in frames.values():
        sensors = [member.sensor or ("lidar" if member.kind == "pointcloud" else "camera") for member in frame]
        if len(set(sensors)) != len(sensors):
            return "with a sensor twice in a frame"
    return None


def _scene(
    scene: Scene,
    members: list[tuple[int, Frame]],
    packer: Packer,
    numeric_text: set[str],
    done: Assembled,
    report: Report,
) -> bytes:
    members.sort(key=lambda entry: entry[1].frame)  # stable: within a frame as they came
    meta: dict[str, Any] = {}
    reserved: dict[str, Any] = {"v": VERSION}
    line: dict[str, Any] = {"reference_id": scene.id}
    video = scene.kind == "video"
    if video and members:
        rate = scene.frame_rate
        line["frame_rate"] = rate if rate else 1
        if not rate:
            reserved["frame_rate"] = rate
            report.add(Code.COMPLETED, "frame rate of a video (1)", format=FORMAT, where=Where(item=scene.id))
        if scene.video_url:
            reserved["video_url"] = scene.video_url
    elif video:
        line["video_url"] = scene.video_url
        if scene.frame_rate is not None:
            reserved["frame_rate"] = scene.frame_rate
    else:
        if scene.frame_rate is not None:
            reserved["frame_rate"] = scene.frame_rate
        if scene.video_url:
            reserved["video_url"] = scene.video_url
    packer.item(scene.attributes, scene.extras, meta, reserved)
    if len(reserved) > 1:
        meta[KEY] = reserved
    packer.item_kinds.note_all(meta)
    if meta:
        line["metadata"] = meta
    if video:
        line["upload_to_scale"] = True
    if members:
        line["frames"] = _frames(members, video, numeric_text, done)
    own = scene.extras.get(FORMAT)
    if own:
        line.update((key, value) for key, value in own.items() if key not in OWN_KEYS)
    return ENCODER.encode(line) + b"\n"


def _frames(
    members: list[tuple[int, Frame]], video: bool, numeric_text: set[str], done: Assembled
) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    last: int | None = None
    for _, member in members:
        metadata = _metadata(member, numeric_text, done)
        if member.frame != last:
            last = member.frame
            if not video:
                frames.append({})
        number = len(frames) if video else len(frames) - 1
        if member.frame != number:
            _note(metadata, "frame", member.frame)
        more = DECODE(done.texts(member.more))
        if video:
            if member.sensor is not None:
                _note(metadata, "sensor", member.sensor)
            frames.append(_frame_item(member, metadata, more))
            continue
        sensor = member.sensor
        if sensor is None:
            sensor = "lidar" if member.kind == "pointcloud" else "camera"
            _note(metadata, "sensor", None)
        frames[-1][sensor] = _frame_item(member, metadata, more)
    return frames


def _metadata(frame: Frame, numeric_text: set[str], done: Assembled) -> dict[str, Any]:
    metadata: dict[str, Any] = DECODE(done.texts(frame.metadata))
    if numeric_text:
        done.strings.update(as_strings(metadata, numeric_text))
    return metadata


def _note(metadata: dict[str, Any], key: str, value: Any) -> None:
    reserved = metadata.pop(KEY, None) or {"v": VERSION}
    reserved[key] = value
    metadata[KEY] = reserved


def _frame_item(frame: Frame, metadata: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """An item as it stands in a scene."""
    item: dict[str, Any] = {"url": frame.url, "type": frame.kind, "reference_id": frame.reference_id}
    ending = frame.url.rpartition(".")[2]
    # The SDK's from_json tells images from point clouds by these endings only; other files it must be told.
    if frame.kind == "image" and ending not in ("jpg", "png"):
        item["image_url"] = frame.url
    elif frame.kind == "pointcloud" and ending != "json":
        item["pointcloud_url"] = frame.url
    if metadata:
        item["metadata"] = metadata
    params = metadata.get("camera_params")
    if params:
        item["camera_params"] = {
            key: value for key, value in params.items() if value or key not in ("k1", "k2", "k3", "k4", "p1", "p2")
        }
    return {**item, **more}

"""Item payloads, and items within scenes, to items of the model."""

from __future__ import annotations

from typing import Any

import msgspec

from nucleus_convert.converters.errors import SchemaError
from nucleus_convert.converters.model import Annotation, Camera, Caption, Item, Scene, SceneRef, Tag
from nucleus_convert.converters.nucleus import names
from nucleus_convert.converters.nucleus.check import Place, checked
from nucleus_convert.converters.nucleus.metadata import FORMAT, KEY, PLAIN, REFERENCE, SIZE
from nucleus_convert.converters.nucleus.reserved import Lens, Opened, Reserved, open_up, split_plain
from nucleus_convert.formats.nucleus import forms, wire

_LOCATIONS = ("image_url", "original_image_url", "url", "pointcloud_url", "processed_url")
_KNOWN = frozenset({"reference_id", "metadata", "width", "height", "type", "camera_params"})
_UNSET = msgspec.UNSET


class Found(msgspec.Struct):
    """An item, and what its metadata says of its annotations; ``cloud`` is where cuboids of them stand."""

    item: Item
    packed: tuple[Annotation, ...] = ()
    cloud: str | None = None
    order: tuple[Any, ...] | None = None


class Spot(msgspec.Struct, frozen=True):
    """Where in a scene an item stands. ``made``: the scene is only there for its sake."""

    scene: str
    frame: int
    sensor: str | None
    made: bool = False


def item_of(row: dict[str, Any], reference: str, place: Place, spot: Spot | None = None) -> Found:
    """The item of a payload with normal keys; ``row`` is used up.

    Raises:
        SchemaError: something is not as the SDK has it.
    """
    metadata = row.pop("metadata", None)
    if metadata is not None and type(metadata) is not dict:
        raise SchemaError("expected an object", place(".metadata"))
    plain, reserved = open_up(metadata, lambda inside: place(f".metadata{inside}"))
    path, location = None, None
    for key in _LOCATIONS:
        value = row.get(key)
        if value:
            if type(value) is not str:
                raise SchemaError("expected a location", place(f".{key}"))
            path, location = value, key
            break
    kind = row.get("type", "pointcloud" if location == "pointcloud_url" else "image")
    if kind not in ("image", "pointcloud"):
        raise SchemaError(f"unknown item type {kind!r:.40}", place(".type"), hint="types: image, pointcloud")
    own = {
        key: value
        for key, value in row.items()
        if key not in _KNOWN and key != location and value is not None and not (spot and value == path)
    }
    fields: dict[str, Any] = {"kind": kind}
    _size(row, plain, own, fields, place)
    camera = _camera(row.get("camera_params"), plain, reserved, place)
    if camera is not None:
        fields["camera"] = camera
    if type(plain.get("subset")) is str:
        fields["subset"] = plain.pop("subset")
    _scene(plain, reserved, spot, fields)
    fields["path"] = path if reserved.path is _UNSET else reserved.path
    fields["id"] = reference if reserved.id is _UNSET or reserved.id is None else reserved.id
    for i, text in enumerate(_captions(reserved.annotations), 1):
        key = "caption" if i == 1 else f"caption_{i}"
        if plain.get(key) == text:
            del plain[key]
    attributes, extras, remember = split_plain(Opened(plain, reserved), item=True)
    if remember:
        own[PLAIN] = remember
    if not _usual(Item(**fields), reference):
        own[REFERENCE] = reference
    if own:
        extras[FORMAT] = {**extras.get(FORMAT, {}), **own}
    if attributes:
        fields["attributes"] = attributes
    if extras:
        fields["extras"] = extras
    cloud = None if reserved.cloud is None else reserved.cloud[0]
    return Found(Item(**fields), reserved.annotations, cloud, reserved.order)


def _usual(item: Item, reference: str) -> bool:
    """Whether the writer would give an item this reference id again."""
    usual = names.plain_reference_id(item, "path")
    return reference == usual or bool(item.subset and reference == names.with_subset(usual, item.subset))


def _size(
    row: dict[str, Any], plain: dict[str, Any], own: dict[str, Any], fields: dict[str, Any], place: Place
) -> None:
    """Width and height: the SDK writes them beside the metadata, this program (and others) within it."""
    beside = []
    for key in ("width", "height"):
        value = row.get(key)
        if value is not None:
            if type(value) is float and value.is_integer():
                value = int(value)
            if type(value) is not int or value < 0:
                raise SchemaError(f"expected a {key} in pixels, found {value!r:.40}", place(f".{key}"))
            if type(plain.get(key)) is not int:
                beside.append(key)
            elif plain[key] == value:
                del plain[key]
            fields[key] = value
        elif type(plain.get(key)) is int and plain[key] >= 0:
            fields[key] = plain.pop(key)
    if beside:
        own[SIZE] = beside


def _camera(beside: Any, plain: dict[str, Any], reserved: Reserved, place: Place) -> Camera | None:
    value, where = plain.get("camera_params"), ".metadata.camera_params"
    if value is None:
        value, where = beside, ".camera_params"
    if value is None:
        return None
    try:
        params = msgspec.convert(value, wire.CameraRead)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        raise SchemaError(
            f"camera parameters not as Nucleus has them: {text}",
            place(where + path.strip("`").removeprefix("$")),
        ) from error
    plain.pop("camera_params", None)
    rest = reserved.camera or Lens()
    distortion = {name: getattr(params, name) for name in wire.DISTORTION if getattr(params, name) is not None}
    distortion.update(rest.distortion)
    position, heading = params.position, params.heading
    return Camera(
        position=(position.x, position.y, position.z),
        heading=(heading.w, heading.x, heading.y, heading.z),
        fx=params.fx,
        fy=params.fy,
        cx=params.cx,
        cy=params.cy,
        model=rest.model or params.camera_model,
        distortion=distortion,
    )


def _scene(plain: dict[str, Any], reserved: Reserved, spot: Spot | None, fields: dict[str, Any]) -> None:
    if reserved.scene is not None:
        name, frame, sensor = reserved.scene.id, reserved.scene.frame, reserved.scene.sensor
    elif spot is not None and not spot.made:
        name = spot.scene
        frame = spot.frame if reserved.frame is None else reserved.frame
        sensor = spot.sensor if reserved.sensor is _UNSET else reserved.sensor
    else:
        return
    time = None
    if type(plain.get("timestamp")) in (int, float):
        time = plain.pop("timestamp")
    cloud = None if reserved.cloud is None else reserved.cloud[1]
    fields["scene"] = SceneRef(id=name, frame=frame, sensor=sensor, timestamp=time, cloud=cloud)


def _captions(packed: tuple[Annotation, ...]) -> list[str]:
    return [shape.text for annotation in packed for shape in annotation.shapes if type(shape) is Caption]


# --- scenes --------------------------------------------------------------------------------------------


def scene_of(row: dict[str, Any], place: Place) -> Scene | None:
    """The scene of a row; None for one that was only made for a point cloud.

    Raises:
        SchemaError: something is not as the SDK has it.
    """
    plain, reserved = _opened(row, place)
    if reserved.made:
        return None
    frames = row.get("frames")
    first = frames[0] if type(frames) is list and frames else None
    lidar = type(first) is dict and not ("reference_id" in forms.normal(first) and "url" in first)
    attributes, extras, remember = split_plain(Opened(plain, reserved), item=True)
    known = {"reference_id", "metadata", "frames", "frame_rate", "video_url"}
    own = {key: value for key, value in row.items() if key not in known and value is not None}
    if own.get("upload_to_scale") is True:
        del own["upload_to_scale"]
    if remember:
        own[PLAIN] = remember
    if own:
        extras[FORMAT] = {**extras.get(FORMAT, {}), **own}
    rate = row.get("frame_rate") if reserved.frame_rate is _UNSET else reserved.frame_rate
    if rate is not None and type(rate) not in (int, float):
        raise SchemaError("expected a number of frames a second", place(".frame_rate"))
    video = reserved.video_url or row.get("video_url")
    if video is not None and type(video) is not str:
        raise SchemaError("expected the location of a video", place(".video_url"))
    return Scene(
        id=str(row["reference_id"]),
        kind="lidar" if lidar else "video",
        frame_rate=rate,
        video_url=video,
        attributes=attributes,
        extras=extras,
    )


def category_of(row: dict[str, Any], place: Place, *, predicted: bool) -> Annotation:
    """A category said of a scene.

    Raises:
        SchemaError: something is not as the SDK has it.
    """
    checked_row, own = checked(row, place)
    plain, reserved = _opened(row, place)
    attributes, extras, remember = split_plain(Opened(plain, reserved), item=False)
    if remember:
        own[PLAIN] = remember
    if own:
        extras[FORMAT] = own
    return Annotation(
        label=checked_row.label,
        shapes=(Tag(checked_row.taxonomy_name),),
        id=None if reserved.id is _UNSET else reserved.id,
        predicted=predicted or checked_row.confidence is not None,
        confidence=checked_row.confidence,
        attributes=attributes,
        extras=extras,
    )


def is_made(row: dict[str, Any]) -> bool:
    """Whether a scene was only made for a point cloud."""
    metadata = row.get("metadata")
    reserved = metadata.get(KEY) if type(metadata) is dict else None
    return type(reserved) is dict and reserved.get("made") is True


def _opened(row: dict[str, Any], place: Place) -> Opened:
    metadata = row.get("metadata")
    if metadata is not None and type(metadata) is not dict:
        raise SchemaError("expected an object", place(".metadata"))
    return open_up(dict(metadata or {}), lambda inside: place(f".metadata{inside}"))

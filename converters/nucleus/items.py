"""Item payloads, and items within scenes, to items of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Annotation, Camera, Caption, Id, Item, Scene, SceneRef, Tag
from nucleus_convert.converters.nucleus import names
from nucleus_convert.converters.nucleus.decode import Place
from nucleus_convert.converters.nucleus.metadata import FORMAT, KEY, PLAIN, Unpacked, open_up, split_plain
from nucleus_convert.formats.nucleus import forms, wire

_LOCATIONS = ("image_url", "original_image_url", "url", "pointcloud_url", "processed_url")
_KNOWN = frozenset({"reference_id", "metadata", "width", "height", "type", "camera_params", "phash"})
_EMPTY: Mapping[str, Any] = {}
_PACKED = msgspec.json.Decoder(list[Annotation])


class Found(msgspec.Struct):
    """An item, and what its metadata says of its annotations."""

    item: Item
    packed: tuple[Annotation, ...] = ()
    order: list[int] | None = None


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
    plain, reserved = open_up(metadata, lambda: place(f".metadata.{KEY}"))
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
    for key in ("phash",):
        if row.get(key) is not None:
            own[key] = row[key]
    fields: dict[str, Any] = {"kind": kind}
    _size(row, plain, own, fields, place)
    camera = _camera(row.get("camera_params"), plain, reserved, place)
    if camera is not None:
        fields["camera"] = camera
    if type(plain.get("subset")) is str:
        fields["subset"] = plain.pop("subset")
    _scene(plain, reserved, spot, fields)
    fields["path"] = reserved["path"] if "path" in reserved else path
    fields["id"] = _id(reserved.get("id", reference))
    packed = _packed(reserved, place)
    for i, text in enumerate(_captions(packed), 1):
        key = "caption" if i == 1 else f"caption_{i}"
        if plain.get(key) == text:
            del plain[key]
    attributes, extras, remember = split_plain(Unpacked(plain, reserved), item=True)
    if remember:
        own[PLAIN] = remember
    item = Item(**fields)
    usual = names.plain_reference_id(item, "path")
    if reference not in (usual, str(item.id) if not item.path else usual) and not (
        item.subset and reference == names.with_subset(usual, item.subset)
    ):
        own["reference_id"] = reference
    if own or FORMAT in extras:
        extras[FORMAT] = {**extras.get(FORMAT, _EMPTY), **own}
    if attributes:
        fields["attributes"] = attributes
    if extras:
        fields["extras"] = extras
    order = reserved.get("order")
    return Found(Item(**fields), packed, order if type(order) is list else None)


def _id(value: Any) -> Id:
    return value if type(value) in (int, str) else str(value)


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
        own["size"] = beside


def _camera(beside: Any, plain: dict[str, Any], reserved: Mapping[str, Any], place: Place) -> Camera | None:
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
    rest = reserved.get("camera", _EMPTY)
    distortion = {
        name: getattr(params, name) for name in wire.DISTORTION if getattr(params, name) is not None
    }
    distortion.update(rest.get("distortion", _EMPTY))
    position, heading = params.position, params.heading
    return Camera(
        position=(position.x, position.y, position.z),
        heading=(heading.w, heading.x, heading.y, heading.z),
        fx=params.fx,
        fy=params.fy,
        cx=params.cx,
        cy=params.cy,
        model=rest.get("model", params.camera_model),
        distortion=distortion,
    )


def _scene(
    plain: dict[str, Any], reserved: Mapping[str, Any], spot: Spot | None, fields: dict[str, Any]
) -> None:
    name, frame, sensor = None, 0, None
    if type(reserved.get("scene")) is dict:
        said = reserved["scene"]
        name, frame, sensor = said.get("id"), said.get("frame", 0), said.get("sensor")
    elif spot is not None and not spot.made:
        name = spot.scene
        frame = reserved.get("frame", spot.frame)
        sensor = reserved["sensor"] if "sensor" in reserved else spot.sensor
    if name is None:
        return
    time = None
    if type(plain.get("timestamp")) in (int, float):
        time = plain.pop("timestamp")
    fields["scene"] = SceneRef(id=str(name), frame=frame, sensor=sensor, timestamp=time)


def _packed(reserved: Mapping[str, Any], place: Place) -> tuple[Annotation, ...]:
    held = reserved.get("annotations")
    if held is None:
        return ()
    try:
        return tuple(_PACKED.decode(msgspec.json.encode(held)))
    except msgspec.MsgspecError as error:
        raise SchemaError(
            f"'annotations' in metadata key '{KEY}' is not as this program writes it: {error}",
            place(f".metadata.{KEY}.annotations"),
            hint=f"leave '{KEY}' out, or as it was",
        ) from error


def _captions(packed: tuple[Annotation, ...]) -> list[str]:
    return [shape.text for annotation in packed for shape in annotation.shapes if type(shape) is Caption]


# --- scenes --------------------------------------------------------------------------------------------


def scene_of(row: dict[str, Any], where: Where) -> Scene | None:
    """The scene of a row; None for one that was only made for a point cloud."""
    metadata = row.get("metadata")
    plain, reserved = open_up(dict(metadata) if type(metadata) is dict else None, where)
    if reserved.get("made"):
        return None
    frames = row.get("frames")
    first = frames[0] if type(frames) is list and frames else None
    lidar = type(first) is dict and not ("reference_id" in forms.normal(first) and "url" in first)
    attributes, extras, remember = split_plain(Unpacked(plain, reserved), item=True)
    known = {"reference_id", "metadata", "frames", "frame_rate", "video_url"}
    own = {key: value for key, value in row.items() if key not in known and value is not None}
    if own.get("upload_to_scale") is True:
        del own["upload_to_scale"]
    if remember:
        own[PLAIN] = remember
    if own:
        extras[FORMAT] = {**extras.get(FORMAT, _EMPTY), **own}
    rate = row.get("frame_rate")
    if "frame_rate" in reserved:
        rate = reserved["frame_rate"]
    if rate is not None and type(rate) not in (int, float):
        raise SchemaError("expected a frame rate", where)
    video = reserved.get("video_url", row.get("video_url"))
    if video is not None and type(video) is not str:
        raise SchemaError("expected the location of a video", where)
    return Scene(
        id=str(row["reference_id"]),
        kind="lidar" if lidar else "video",
        frame_rate=rate,
        video_url=video,
        attributes=attributes,
        extras=extras,
    )


def category_of(row: dict[str, Any], where: Where, *, predicted: bool) -> Annotation | None:
    """A category said of a scene."""
    label = row.get("label")
    if type(label) is not str:
        return None
    metadata = row.get("metadata")
    plain, reserved = open_up(dict(metadata) if type(metadata) is dict else None, where)
    attributes, extras, remember = split_plain(Unpacked(plain, reserved), item=False)
    if remember:
        extras[FORMAT] = {PLAIN: remember}
    confidence = row.get("confidence")
    return Annotation(
        label=label,
        shapes=(Tag(row.get("taxonomy_name")),),
        id=reserved.get("id"),
        predicted=predicted or confidence is not None,
        confidence=confidence,
        attributes=attributes,
        extras=extras,
    )

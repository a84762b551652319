"""Shapes of the model as the geometry of payloads, and keys of a Nucleus source put back into them."""

from __future__ import annotations

from typing import Any

import msgspec

from nucleus_convert.converters.model import Box, Cuboid, Keypoints, Line
from nucleus_convert.converters.nucleus.metadata import KEY, OWN_KEYS
from nucleus_convert.formats.nucleus import wire
from nucleus_convert.formats.nucleus.wire import Payload, Vertex, Vertices

UNLABELLED = "unlabelled"
"""Nucleus wants a label for everything."""


def vertices(ring: tuple[Any, ...]) -> Vertices:
    """A flat ring or line as vertices."""
    point = iter(ring)
    return Vertices(list(map(Vertex, point, point)))


def geometry(shape: Any, reserved: dict[str, Any]) -> Any:
    """The geometry of a shape that is one payload; what it cannot say is noted under ``reserved``."""
    kind = type(shape)
    if kind is Box:
        return wire.Rectangle(shape.x, shape.y, shape.width, shape.height)
    if kind is Line:
        return vertices(shape.points)
    if kind is Keypoints:
        return _keypoints(shape, reserved)
    if kind is Cuboid:
        return wire.Block(
            wire.Point3D(shape.x, shape.y, shape.z),
            wire.Point3D(shape.length, shape.width, shape.height),
            shape.yaw,
        )
    return wire.Nothing()


def _keypoints(shape: Keypoints, reserved: dict[str, Any]) -> wire.Skeleton:
    """Visible: seen in the picture. A point that is not labelled has no place, if its place was (0, 0)."""
    points = shape.points
    count = len(points) // 3
    keypoints: list[wire.Keypoint] = []
    derivable = True
    for i in range(0, 3 * count, 3):
        x, y, seen = points[i : i + 3]
        placed = True
        if type(seen) is not int or seen not in (0, 1, 2):
            derivable = False
            visible = bool(seen)
        else:
            visible = seen == 2
            if seen == 0:
                placed = not (x == 0 and y == 0 and type(x) is int and type(y) is int)
                derivable = derivable and not placed
        keypoints.append(wire.Keypoint(x=x, y=y, visible=visible) if placed else wire.Keypoint(visible=visible))
    if not derivable:
        reserved["visibility"] = list(points[2::3])
    names = list(shape.names)
    if len(names) != count or len(set(names)) != count:
        reserved["names"] = names
        names = [str(i) for i in range(count)]
    edges = [edge for edge in shape.skeleton if min(edge) >= 0 and max(edge) < count]
    if len(edges) != len(shape.skeleton):
        reserved["skeleton"] = shape.skeleton
    return wire.Skeleton(keypoints, names, edges)


def with_reserved(meta: dict[str, Any], reserved: dict[str, Any]) -> dict[str, Any]:
    """``meta`` with the reserved key, if there is more to put there than the version."""
    if len(reserved) > 1:
        meta[KEY] = reserved
    return meta


def with_unknown(payload: Payload, own: Any) -> Payload | dict[str, Any]:
    """The payload with the keys that its Nucleus source had and the SDK does not know, if there are any."""
    more = {key: value for key, value in own.items() if key not in OWN_KEYS}
    if not more:
        return payload
    line: dict[str, Any] = msgspec.to_builtins(payload)
    strange = more.pop("geometry", None)
    if isinstance(strange, dict):
        line["geometry"] = {**strange, **line["geometry"]}
        for key in ("vertices", "keypoints"):
            if key in strange and _same_points(strange[key], line["geometry"].get(key)):
                line["geometry"][key] = strange[key]
    return {**more, **line}


def _same_points(strange: Any, ours: Any) -> bool:
    """Whether points that had other keys too are still where they were."""
    return (
        isinstance(strange, list)
        and isinstance(ours, list)
        and len(strange) == len(ours)
        and all(
            isinstance(point, dict) and {key: point[key] for key in point.keys() & other.keys()} == other
            for point, other in zip(strange, ours, strict=True)
        )
    )

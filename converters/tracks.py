"""An object followed over frames: from its keyframes to every frame, and back.

A track is a list of :class:`Key`, frames strictly ascending. Frames are counted in steps of what was annotated (with
a frame step of 5 the source's frames 0, 5, 10 are 0, 1, 2 here). CVAT's rules:

- Between two keyframes a shape moves (:mod:`blending`); everything else (``state``) is that of the earlier one.
- From a keyframe that is ``outside`` to the next one the object is not seen. The shape of that keyframe says where it
  was heading, nothing more.
- Before the first keyframe there is nothing; after the last the shape stays to the end.

A file may list every frame (CVAT's own exports) or keyframes only; since what lies between neighbouring frames is
nothing, :func:`dense` of all listed frames is right for both, and fills in only what is missing.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from nucleus_convert.converters import blending
from nucleus_convert.converters.model import (
    Box,
    Cuboid2D,
    Ellipse,
    Keypoints,
    Line,
    Number,
    Points,
    Polygon,
    Shape,
)

_LOOKAHEAD = 256
"""Frames to look beyond the last place where a keyframe might be."""
_SLACK = 1e-9
_CLOSE = 8
"""The furthest candidates are tried one by one, as many as this."""


class Key(NamedTuple):
    """A shape on a frame.

    Attributes:
        frame: number of the frame.
        shape: where the object is.
        outside: the object is not seen from this frame on.
        state: all that does not move (occlusion, order, attributes): anything that can be compared.
    """

    frame: int
    shape: Shape
    outside: bool = False
    state: Any = None


class Joint(NamedTuple):
    """A keyframe of one joint of a skeleton: visibility 0 outside, 1 occluded, 2 seen."""

    frame: int
    x: Number
    y: Number
    visibility: int


def dense(keys: Sequence[Key], frames: range, digits: int | None = None) -> Iterator[Key]:
    """The track on each of the frames on which it is seen.

    Args:
        keys: frames strictly ascending.
        frames: the frames wanted, ascending; no others are worked out. The track lasts to their end if its last
            keyframe is not outside.
        digits: decimals to round what lies between keyframes to: 2 gives the numbers of CVAT's own exports.
    """
    if not keys or not frames:
        return
    number = bisect_right(keys, frames[0], key=_frame) - 1
    blend: blending.Blend | None = None
    for frame in frames:
        while number + 1 < len(keys) and keys[number + 1].frame <= frame:
            number += 1
            blend = None
        if number < 0:
            continue
        key = keys[number]
        if key.outside:
            continue
        if frame == key.frame:
            yield key
            continue
        shape = key.shape
        if number + 1 < len(keys):
            after = keys[number + 1]
            if blend is None:
                blend = blending.between(shape, after.shape, digits)
            shape = blend((frame - key.frame) / (after.frame - key.frame))
        yield Key(frame, shape, False, key.state)


def skeletons(
    joints: Sequence[Sequence[Joint]], frames: range, digits: int | None = None
) -> Iterator[tuple[int, tuple[Number, ...]]]:
    """A skeleton on each of the frames on which any of its joints is seen: frame, and x, y, visibility of each joint.

    Every joint has keyframes of its own. One that is outside keeps the place of its keyframe, one that has not begun
    is at 0, 0; both have visibility 0.

    Args:
        joints: for each joint its keyframes, frames strictly ascending.
        frames: the frames wanted, ascending.
        digits: as for :func:`dense`.
    """
    tracks = [[_joint_key(joint) for joint in keys] for keys in joints]
    moving = [dense(keys, frames, digits) for keys in tracks]
    following = [next(keys, None) for keys in moving]
    for frame in frames:
        if not any(key is not None and key.frame == frame for key in following):
            continue
        flat: list[Number] = []
        for number, key in enumerate(following):
            if key is not None and key.frame == frame:
                assert isinstance(key.shape, Points)
                flat += (*key.shape.points, key.state)
                following[number] = next(moving[number], None)
            else:
                flat += _hidden(joints[number], frame)
        yield frame, tuple(flat)


def _joint_key(joint: Joint) -> Key:
    return Key(joint.frame, Points((joint.x, joint.y)), not joint.visibility, joint.visibility)


def _hidden(keys: Sequence[Joint], frame: int) -> tuple[Number, Number, int]:
    number = bisect_right(keys, frame, key=_frame) - 1
    return (keys[number].x, keys[number].y, 0) if number >= 0 else (0, 0, 0)


def _frame(key: Key | Joint) -> int:
    return key.frame


def keyframes(seen: Iterable[Key], count: int | None = None, digits: int | None = None) -> Iterator[Key]:
    """Keyframes from which :func:`dense` makes the same frames again, exactly.

    That is: dense(keyframes(seen)) equals ``seen``, where ``digits`` is given with its shapes rounded to as many
    decimals. There are few keyframes, not always the fewest. Each stretch of frames ends with one that is outside,
    on the frame after it, unless it reaches the end of the video.

    Args:
        seen: the frames on which the object is seen, strictly ascending; a frame that is missing is one on which it
            is not seen. Only the stretch at hand is kept in memory.
        count: frames of the video, None: not known.
        digits: decimals that shapes are written with, and rounded to on the way back; None: all of them.
    """
    for run in _runs(seen, digits):
        last = run[-1]
        if count is not None and last.frame + 1 >= count:
            while len(run) > 1 and _alike(run[-2], last):  # the last keyframe lasts to the end
                run.pop()
        else:
            run.append(last._replace(frame=last.frame + 1, outside=True))
        yield from _reduced(run, digits)


def _runs(seen: Iterable[Key], digits: int | None) -> Iterator[list[Key]]:
    """Stretches of neighbouring frames, shapes rounded."""
    run: list[Key] = []
    for key in seen:
        if run and key.frame != run[-1].frame + 1:
            yield run
            run = []
        run.append(Key(key.frame, blending.rounded(key.shape, digits), False, key.state))
    if run:
        yield run


def _alike(one: Key, other: Key) -> bool:
    return one.shape == other.shape and bool(one.state == other.state)


def _reduced(run: list[Key], digits: int | None) -> Iterator[Key]:
    """Keyframes of a stretch, its first and last among them."""
    at, reach = 0, len(run)
    while at < len(run) - 1:
        yield run[at]
        chosen, tried = _still(run, at), 0
        candidates = _candidates(run, at, min(len(run), at + reach + 1), digits)
        while candidates and candidates[-1] > chosen:
            if _gives(run, at, candidates[-1], digits):
                chosen = candidates[-1]
                break
            tried += 1
            del candidates[-1 if tried < _CLOSE else len(candidates) * 3 // 4 :]
        # Where long stretches keep failing, look at shorter ones: the time taken stays linear.
        reach = 2 * max(chosen - at if tried else reach, _CLOSE**2)
        at = chosen
    yield run[at]


def _still(run: list[Key], first: int) -> int:
    """How far nothing changes: a keyframe that is right whatever the shape."""
    last = first + 1
    while last < len(run) and _alike(run[first], run[last]):
        last += 1
    held = last < len(run) and _places(run[first].shape, run[first].shape) is None
    return last if held else max(first + 1, last - 1)


def _gives(run: list[Key], first: int, last: int, digits: int | None) -> bool:
    """Whether the frames between two keyframes follow from them."""
    blend = blending.between(run[first].shape, run[last].shape, digits)
    length = last - first
    return all(blend(number / length) == run[first + number].shape for number in range(1, length))


def _candidates(run: list[Key], first: int, stop: int, digits: int | None) -> list[int]:
    """Frames, ascending, that might be the keyframe after ``first``.

    For each number that moves at an even pace, the paces that lead past all frames so far narrow with every frame.
    """
    begin = run[first].shape
    start = _places(begin, begin)
    if start is None:
        return []
    slack = _SLACK if digits is None else 0.5 * 10.0**-digits + _SLACK
    low, high = [-math.inf] * (len(start) + 1), [math.inf] * (len(start) + 1)
    turn, facing = 0.0, _rotation(begin)
    found: list[int] = []
    for number in range(first + 1, stop):
        shape = run[number].shape
        places = _places(shape, begin)
        if places is None or (found and number - found[-1] > _LOOKAHEAD):
            break
        turn += blending.turned(facing, _rotation(shape))
        facing = _rotation(shape)
        length = number - first
        paces = [(value - before) / length for value, before in zip(places, start, strict=True)]
        paces.append(turn / length)
        if all(map(operator.le, low, paces)) and all(map(operator.le, paces, high)) and abs(turn) <= 180:
            found.append(number)
        if run[number].state != run[first].state:
            break
        give = slack / length
        low = [max(a, pace - give) for a, pace in zip(low, paces, strict=True)]
        high = [min(b, pace + give) for b, pace in zip(high, paces, strict=True)]
        if any(map(operator.gt, low, high)):
            break
    return found


def _rotation(shape: Shape) -> Number:
    return shape.rotation if isinstance(shape, Box | Ellipse) else 0


def _places(shape: Shape, begin: Shape) -> Sequence[Number] | None:
    """Numbers that move at an even pace between keyframes of which ``begin`` is the first; None: it is held.

    Of polygons and lines the first vertex: it always goes to the first vertex, whatever the others do.
    """
    if type(shape) is not type(begin):
        return None
    if isinstance(shape, Box):
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    if isinstance(shape, Ellipse):
        return shape.cx, shape.cy, shape.rx, shape.ry
    if isinstance(shape, Cuboid2D):
        return shape.points
    if isinstance(shape, Points):
        return shape.points if len(shape.points) == 2 else None
    if isinstance(shape, Keypoints) and isinstance(begin, Keypoints):
        if len(shape.points) != len(begin.points):
            return None
        seen = (i for i in range(0, len(begin.points), 3) if begin.points[i + 2])
        return [value for i in seen for value in shape.points[i : i + 2]]
    if isinstance(shape, Line):
        return shape.points[:2]
    if isinstance(shape, Polygon) and len(shape.parts) == 1 and len(shape.parts[0]) == 1:
        return shape.parts[0][0][:2]
    return None

"""What YOLO holds: over all tasks, and for one task with the writer's options."""

from __future__ import annotations

import msgspec

from nucleus_convert.converters.protocol import Feature, Spec
from nucleus_convert.converters.yolo.options import Task, WriteOptions

_ALWAYS = frozenset(
    {
        Feature.ITEM_ID,
        Feature.EMPTY_ITEM,
        Feature.PATH,
        Feature.SIZE,
        Feature.SUBSET,
        Feature.UNUSED_LABEL,
        Feature.UNLABELLED,
    }
)
_TASKS: dict[str, frozenset[Feature]] = {
    "detect": frozenset({Feature.BOX}),
    "segment": frozenset({Feature.POLYGON}),
    "pose": frozenset({Feature.BOX, Feature.KEYPOINTS}),
    "obb": frozenset({Feature.BOX, Feature.ROTATION}),
    "classify": frozenset({Feature.TAG}),
}
_HOLDS = _ALWAYS | frozenset[Feature]().union(*_TASKS.values()) | {Feature.CONFIDENCE, Feature.LABEL_ID}

SPEC = Spec(
    name="yolo",
    title="YOLO text labels: Ultralytics and Darknet",
    holds=_HOLDS,
    carries=frozenset(Feature) - _HOLDS,
    layout="directory",
    suffix=".txt",
    reference="https://docs.ultralytics.com/datasets/",
)
"""Over all tasks; one data set is of one task, and :func:`spec_of` says what that holds."""


def spec_of(task: Task, options: WriteOptions) -> Spec:
    """What a data set of one task holds.

    Without the sidecar nothing is carried: names and ids of images then are their places in the tree.
    Regions of several parts count as held where they are written as a ring with bridges, or a line a part.
    """
    holds = _ALWAYS | _TASKS[task]
    if options.parts != "largest" and task == "segment":
        holds |= {Feature.PARTS, Feature.HOLES}
    if options.confidence and task != "classify":
        holds |= {Feature.CONFIDENCE}
    if options.track_ids and task != "classify":
        holds |= {Feature.TRACK}
    if task == "classify":
        holds -= {Feature.UNLABELLED}  # a class is a folder: without one there is nothing to say
    carries = frozenset(Feature) - holds if options.sidecar else frozenset[Feature]()
    decimals = None if options.sidecar else 8
    if options.digits is not None:
        decimals = max(0, min(8, options.digits - 5))
    return msgspec.structs.replace(SPEC, holds=holds, carries=carries, decimals=decimals)

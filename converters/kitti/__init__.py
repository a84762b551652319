"""KITTI to the model and back: the object and the tracking benchmark, results, raw drives.

A row's 2-D box and its 3-D box are two shapes of one object, on the image's item; the 3-D box is a cuboid in the
lidar's frame, metres, z up. The point cloud is an item of its own in the same frame of the same scene. A row's
text goes with its object, so that what was not changed is written again to the last character.
"""

from __future__ import annotations

from nucleus_convert.converters.kitti.options import ReadOptions, WriteOptions
from nucleus_convert.converters.kitti.read import read, sniff
from nucleus_convert.converters.kitti.write import drives, pictured, sequences, write
from nucleus_convert.converters.labelset import LabelSet, Step
from nucleus_convert.converters.protocol import Feature, Spec
from nucleus_convert.converters.report import Report

__all__ = ["SPEC", "ReadOptions", "WriteOptions", "narrowed", "read", "sniff", "write"]

_HOLDS = frozenset(
    {
        Feature.BOX,
        Feature.CUBOID,
        Feature.PREDICTED,
        Feature.CONFIDENCE,
        Feature.OCCLUDED,
        Feature.TRUNCATED,
        Feature.EMPTY_ITEM,
        Feature.POINTCLOUD,
        Feature.CAMERA,
    }
)
_SEQUENCES = frozenset({Feature.TRACK, Feature.SCENE})

SPEC = Spec(
    name="kitti",
    title="KITTI label files: object, tracking, raw",
    holds=_HOLDS,
    carries=frozenset(Feature) - _HOLDS,
    layout="directory",
    suffix=".txt",
    reference="https://www.cvlibs.net/datasets/kitti/",
)


def narrowed(labels: LabelSet, *, options: WriteOptions, report: Report) -> tuple[Spec, Step | None]:
    """Sequences and drives have words for scenes and tracks, pictures for masks, which label files have not."""
    more = _SEQUENCES if sequences(labels, options) or drives(labels, options) else frozenset()
    if pictured(labels, options):
        more |= {Feature.MASK}
    spec = Spec(
        name=SPEC.name,
        title=SPEC.title,
        holds=_HOLDS | more,
        carries=SPEC.carries - more,
        layout=SPEC.layout,
        suffix=SPEC.suffix,
        reference=SPEC.reference,
    )
    return spec, None

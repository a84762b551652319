"""Scale Nucleus payloads to the model and back. Facts: the official SDK (``scale-nucleus``), whose classes load
every line written here.

One object is one payload for each way it is drawn, tied by ids and by the reserved metadata key (:mod:`metadata`).
Boxes and vertices are pixels from the image's top-left corner, as in the model, so numbers pass through; a polygon
is one ring, so an object of several parts is several payloads; masks of an item share one 8-bit PNG.
"""

from __future__ import annotations

from nucleus_convert.converters.nucleus.options import ReadOptions, WriteOptions
from nucleus_convert.converters.nucleus.read import read, sniff
from nucleus_convert.converters.nucleus.write import write
from nucleus_convert.converters.protocol import Feature, Spec

__all__ = ["SPEC", "ReadOptions", "WriteOptions", "read", "sniff", "write"]

_HOLDS = frozenset(
    {
        Feature.BOX,
        Feature.POLYGON,
        Feature.PARTS,
        Feature.LINE,
        Feature.KEYPOINTS,
        Feature.MASK,
        Feature.CUBOID,
        Feature.TAG,
        Feature.ID,
        Feature.PREDICTED,
        Feature.CONFIDENCE,
        Feature.CLASS_PDF,
        Feature.TRACK,
        Feature.EMBEDDING,
        Feature.ATTRIBUTES,
        Feature.ITEM_ID,
        Feature.EMPTY_ITEM,
        Feature.POINTCLOUD,
        Feature.PATH,
        Feature.SIZE,
        Feature.SCENE,
        Feature.CAMERA,
        Feature.ITEM_ATTRIBUTES,
        Feature.TAXONOMIES,
    }
)

SPEC = Spec(
    name="nucleus",
    title="Scale Nucleus payloads as JSON Lines",
    holds=_HOLDS,
    carries=frozenset(Feature) - _HOLDS,
    layout="directory",
    reference="https://nucleus.scale.com/docs",
)

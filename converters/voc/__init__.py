"""Pascal VOC to the model and back. Facts: the VOC2012 development kit and what other tools made of it.

Coordinates are pixel numbers from 1, both ends included, in the development kit's own files, and edges in
those of nearly every other tool: which of the two is decided once a data set (:mod:`evidence`). What VOC has
no element for travels in an element of ours, ``<nucleus_convert>``, that other readers pass over.
"""

from __future__ import annotations

from nucleus_convert.converters.protocol import Feature, Spec
from nucleus_convert.converters.voc.options import ReadOptions, WriteOptions
from nucleus_convert.converters.voc.read import read, read_by, sniff
from nucleus_convert.converters.voc.write import write

__all__ = ["SPEC", "ReadOptions", "WriteOptions", "read", "read_by", "sniff", "write"]

_HOLDS = frozenset(
    {
        Feature.BOX,
        Feature.ROTATION,
        Feature.POLYGON,
        Feature.PARTS,
        Feature.MASK,
        Feature.TAG,
        Feature.CONFIDENCE,
        Feature.PREDICTED,
        Feature.TRACK,
        Feature.OCCLUDED,
        Feature.TRUNCATED,
        Feature.DIFFICULT,
        Feature.ATTRIBUTES,
        Feature.ITEM_ID,
        Feature.EMPTY_ITEM,
        Feature.PATH,
        Feature.SIZE,
        Feature.SUBSET,
        Feature.LABEL_ID,
        Feature.LABEL_COLOR,
        Feature.UNUSED_LABEL,
    }
)

SPEC = Spec(
    name="voc",
    title="Pascal VOC",
    holds=_HOLDS,
    carries=frozenset(Feature) - _HOLDS,
    layout="directory",
    suffix=".xml",
    reference="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/",
)

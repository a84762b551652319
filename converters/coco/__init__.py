"""COCO JSON to the model and back. Facts: cocodataset.org/#format-data, and pycocotools, whose reading is the rule.

A data set file is an object with ``images``, ``annotations`` and ``categories``; a results file is an array.
Boxes are x, y, width, height from the outer corner of the top-left pixel, as in the model, so numbers pass through.
Quirks: category ids have gaps and go by number, here labels go by name; RLE sizes are [height, width]; skeletons
count from 1; ``segmentation`` and ``iscrowd`` are independent; keys that COCO does not know are kept and given back.
"""

from __future__ import annotations

from nucleus_convert.converters.coco.find import sniff
from nucleus_convert.converters.coco.options import ReadOptions, WriteOptions
from nucleus_convert.converters.coco.read import read
from nucleus_convert.converters.coco.write import write
from nucleus_convert.converters.protocol import Feature, Spec

__all__ = ["SPEC", "ReadOptions", "WriteOptions", "read", "sniff", "write"]

_HOLDS = frozenset(
    {
        Feature.BOX,
        Feature.POLYGON,
        Feature.PARTS,
        Feature.KEYPOINTS,
        Feature.MASK,
        Feature.CAPTION,
        Feature.UNLABELLED,
        Feature.ID,
        Feature.PREDICTED,
        Feature.CONFIDENCE,
        Feature.TRACK,
        Feature.CROWD,
        Feature.ATTRIBUTES,
        Feature.ITEM_ID,
        Feature.EMPTY_ITEM,
        Feature.PATH,
        Feature.SIZE,
        Feature.SUBSET,
        Feature.LABEL_ID,
        Feature.LABEL_PARENT,
        Feature.LABEL_KEYPOINTS,
        Feature.UNUSED_LABEL,
    }
)

SPEC = Spec(
    name="coco",
    title="COCO JSON",
    holds=_HOLDS,
    carries=frozenset(Feature) - _HOLDS,
    layout="either",
    suffix=".json",
    reference="https://cocodataset.org/#format-data",
)

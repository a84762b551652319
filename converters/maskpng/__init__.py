"""Folders of PNG masks to the model and back: one picture a mask, or one of indices an image.

Beside the pictures goes a manifest, so that everything comes back; folders of PNGs without one are read
too, by what their pixels say. The pictures are the truth: outlines are drawn by COCO's rule and not kept
beside them, and what the manifest keeps of covered masks holds only as long as the picture is the one that
was written.
"""

from __future__ import annotations

from nucleus_convert.converters.maskpng.options import ReadOptions, WriteOptions
from nucleus_convert.converters.maskpng.read import read, sniff
from nucleus_convert.converters.maskpng.write import write
from nucleus_convert.converters.protocol import Feature, Spec

__all__ = ["SPEC", "ReadOptions", "WriteOptions", "read", "sniff", "write"]

_HOLDS = frozenset(
    {
        Feature.MASK,
        Feature.BOX,
        Feature.UNLABELLED,
        Feature.ID,
        Feature.ITEM_ID,
        Feature.EMPTY_ITEM,
        Feature.PATH,
        Feature.SIZE,
        Feature.LABEL_ID,
        Feature.UNUSED_LABEL,
    }
)
_OUTLINES = frozenset({Feature.POLYGON, Feature.PARTS, Feature.HOLES, Feature.ELLIPSE, Feature.ROTATION})

SPEC = Spec(
    name="maskpng",
    title="PNG masks",
    holds=_HOLDS,
    carries=frozenset(Feature) - _HOLDS - _OUTLINES,
    layout="directory",
    reference="docs/masks.md",
)

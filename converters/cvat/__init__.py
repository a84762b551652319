"""CVAT XML 1.1, of images and of video, to the model and back.

Coordinates are edges in pixels from the outer corner, as in the model. What CVAT has no word for travels in an
element of ours, ``<nucleus_convert>``, that CVAT passes over.
"""

from __future__ import annotations

from nucleus_convert.converters.cvat.options import ReadOptions, WriteOptions
from nucleus_convert.converters.cvat.read import read, sniff
from nucleus_convert.converters.cvat.spec import SPEC
from nucleus_convert.converters.cvat.write import narrowed, write

__all__ = ["SPEC", "ReadOptions", "WriteOptions", "narrowed", "read", "sniff", "write"]

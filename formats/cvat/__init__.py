"""CVAT XML 1.1 as it stands in the file: elements, and where in a large file they are. Knows nothing of the model.

An images file lists ``<image>`` after ``<image>``, a video file ``<track>`` after ``<track>``. Either may have
gigabytes: :mod:`index` finds out, once, where they begin, and :mod:`nodes` makes elements of any stretch.
"""

from __future__ import annotations

from nucleus_convert.formats.cvat.index import ImageIndex, TrackIndex, TrackPlace, index, line_of, line_of_wrong, look
from nucleus_convert.formats.cvat.nodes import Node, dump, element, is_text, parse, start_tag
from nucleus_convert.formats.cvat.scan import images

__all__ = [
    "ImageIndex",
    "Node",
    "TrackIndex",
    "TrackPlace",
    "dump",
    "element",
    "images",
    "index",
    "is_text",
    "line_of",
    "line_of_wrong",
    "look",
    "parse",
    "start_tag",
]

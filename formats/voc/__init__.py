"""What Pascal VOC files say: annotation XML, the lists of ImageSets, labelmap.txt and results.

Facts: the VOC2012 development kit (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/).
An element is a *value*: its text, or a dict of its children by name (a list where a name repeats; attributes
as ``@name``, text beside children as ``#text``). Texts are kept as they are written, without white
space around.
"""

from __future__ import annotations

from nucleus_convert.formats.voc.dump import dump, element
from nucleus_convert.formats.voc.quick import Reader
from nucleus_convert.formats.voc.text import (
    LabelLine,
    dump_labelmap,
    load_labelmap,
    result_name,
    set_line,
)
from nucleus_convert.formats.voc.xml import Document, Value, locate, parse

__all__ = [
    "Document",
    "LabelLine",
    "Reader",
    "Value",
    "dump",
    "dump_labelmap",
    "element",
    "load_labelmap",
    "locate",
    "parse",
    "result_name",
    "set_line",
]

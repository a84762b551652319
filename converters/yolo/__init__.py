"""YOLO label files to the model and back, Ultralytics' and Darknet's, five tasks.

Facts: Ultralytics' data set documentation and code, AlexeyAB's darknet, what CVAT, Roboflow and Datumaro
write. A line is a class number and fractions of the image's width and height; the image's size is in the
image, so pixels need it. Quirks: a line does not say which task it is of; keypoints need ``kpt_shape`` from
the ``data.yaml``; there are no holes, no parts, no ids. What has no word travels in a file beside
``data.yaml`` (see ``reserved``).
"""

from __future__ import annotations

from nucleus_convert.converters.protocol import Feature, Spec
from nucleus_convert.converters.yolo.fitting import narrowed
from nucleus_convert.converters.yolo.locating import sniff
from nucleus_convert.converters.yolo.options import ReadOptions, WriteOptions
from nucleus_convert.converters.yolo.read import read
from nucleus_convert.converters.yolo.spec import SPEC
from nucleus_convert.converters.yolo.write import write

__all__ = ["SPEC", "Feature", "ReadOptions", "Spec", "WriteOptions", "narrowed", "read", "sniff", "write"]

"""Scale Nucleus payloads to the model and back. The SDK (``scale-nucleus``) is the rule: it loads every line.

One object is one payload for each way it is drawn, tied by ids and by the reserved key of :mod:`metadata`.
Boxes and vertices are pixels from the image's top-left corner, as in the model, so numbers pass through. A
polygon is one ring, so an object of several parts is several payloads; masks of an item share one 8-bit PNG.

A folder holds ``items.jsonl``, ``annotations.jsonl`` and, where there are any, ``predictions.jsonl``,
``scenes.jsonl``, ``taxonomies.json`` and ``masks/``. ``dataset.json`` beside them is this program's: the
header, so that numbers and families of labels, licences and the like come back; the reader does without it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nucleus_convert.converters.labelset import LabelSet, Step
from nucleus_convert.converters.nucleus.options import ReadOptions, Setting, WriteOptions
from nucleus_convert.converters.nucleus.read import read, sniff
from nucleus_convert.converters.nucleus.write import WithoutClouds, excerpt, write
from nucleus_convert.converters.protocol import Feature, Spec
from nucleus_convert.converters.report import Report

if TYPE_CHECKING:
    from nucleus_convert.converters.checking.problems import Problems

__all__ = [
    "SPEC",
    "ReadOptions",
    "Setting",
    "WriteOptions",
    "examine",
    "excerpt",
    "narrowed",
    "payloads",
    "read",
    "sniff",
    "write",
]

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


def narrowed(labels: LabelSet, *, options: WriteOptions, report: Report) -> tuple[Spec, Step | None]:
    """What a target holds with these options: point clouds may be left out."""
    return SPEC, WithoutClouds() if options.pointclouds == "none" else None


# The rules of an upload take time to import, and conversions have no use for them.


def examine(source: Path, options: ReadOptions, setting: Setting, problems: Problems) -> None:
    """Check a folder or file of Nucleus data, see :func:`examiner.examine`."""
    from nucleus_convert.converters.nucleus import examiner

    examiner.examine(source, options, setting, problems)


def payloads(
    labels: LabelSet,
    folder: Path,
    options: WriteOptions,
    problems: Problems,
    report: Report,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Path | None:
    """Write what can be written of a label set that fits, see :func:`upload.payloads`."""
    from nucleus_convert.converters.nucleus import upload

    return upload.payloads(labels, folder, options, problems, report, workers=workers, progress=progress)

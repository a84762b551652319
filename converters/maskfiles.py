"""Run-length masks to PNG files and back: the two commands ``rle2png`` and ``png2rle`` as functions.

Either is a conversion like any other, between formats that are told by the files' names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

from nucleus_convert.converters import pipeline
from nucleus_convert.converters.report import Report

AnyPath: TypeAlias = str | os.PathLike[str]
LINES = (".jsonl", ".ndjson")
"""Suffixes of files of run-length masks, one a line."""


def rle_format(path: AnyPath) -> str:
    """The format of a file of run-length masks, by its name: "rle" for JSON Lines, else "coco"."""
    return "rle" if Path(path).suffix.lower() in LINES else "coco"


def rle_to_png(src: AnyPath, dst: AnyPath | None, **options: Any) -> Report:
    """Write the masks of COCO JSON (a data set, results, or a folder of them) or of JSON Lines as PNG files.

    Polygons are drawn by COCO's rule. The folder ``dst`` gets ``masks/`` and ``manifest.jsonl``, a line for
    each
    mask: its file, image, id, label, and index in the picture.

    Args:
        src: a ``.json`` file, a folder, a ``.zip``, or a ``.jsonl`` file of ``{"size", "counts", …}``.
        dst: the folder to make; may be None in a dry run.
        options: those of :func:`convert` (``workers``, ``on_error``, ``overwrite``, …), of the source, and
            of the
            pictures: ``layout``, ``ones``, ``palette``, ``overlap``, ``overflow``.

    Raises:
        ConvertError: nothing was written.
    """
    return pipeline.convert(src, dst, source=rle_format(src), target="maskpng", **options)


def png_to_rle(src: AnyPath, dst: AnyPath | None, **options: Any) -> Report:
    """Write PNG masks as COCO JSON, or as JSON Lines where ``dst`` ends in ``.jsonl``.

    Args:
        src: a folder of PNGs (with the manifest of :func:`rle_to_png` or without), a PNG, or a ``.zip``.
        dst: the file to make; may be None in a dry run.
        options: those of :func:`convert`, and of the pictures: ``pixels``, ``classes``, ``label``,
            ``ignore``,
            ``images``.

    Raises:
        ConvertError: nothing was written.
    """
    target = "coco" if dst is None else rle_format(dst)
    return pipeline.convert(src, dst, source="maskpng", target=target, **options)

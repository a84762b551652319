"""Which files a COCO source is made of, and whether something is one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, ReadError, Where
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import coco as wire
from nucleus_convert.formats.jsonstream import JsonDocument

_ROBOFLOW = "*/_annotations.coco.json"
_NOT_COCO = ("dataset.json", "report.json", "taxonomies.json")
_FULLEST_FIRST = ("person_keypoints", "instances", "stuff", "captions", "labels", "image_info")
_BLOCKS = 2
"""Of results to look for a row that is JSON in: the first may end with one that is none."""
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


class Found(NamedTuple):
    """The files of a source: data sets by split, and results that a data set may call its own."""

    splits: dict[str | None, list[Path]]
    results: list[Path]


def find(source: Path, report: Report) -> Found:
    """The JSON files of a source: itself, or those in a folder or its ``annotations``.

    A file says its split in its name (``instances_val2017.json``), a file of another name is a split of its
    own unless it is alone; Roboflow has a folder for each split. A single file that was named itself has no
    split.

    Raises:
        ReadError: there are none.
    """
    if source.is_file():
        return Found({None: [source]}, [])
    if not source.is_dir():
        raise ReadError("no such file or folder", Where(file=str(source)), hint="check the path")
    folder = source / "annotations" if (source / "annotations").is_dir() else source
    paths = [path for path in sorted(folder.glob("*.json")) if not _is_report(path)]
    splits: dict[str | None, list[Path]] = {}
    results: list[Path] = []
    for path in paths:
        task, split = wire.split_name(path.stem)
        if task == "panoptic":
            report.add(Code.IGNORED_FILE, path.name, format="coco", where=Where(file=str(path)))
        elif _is_results(path):
            results.append(path)
        else:
            splits.setdefault(split if task else path.stem, []).append(path)
    if len(splits) == 1 and not wire.split_name(next(iter(splits.values()))[0].stem)[0]:
        splits = {None: next(iter(splits.values()))}
    if not paths:
        splits = {path.parent.name: [path] for path in sorted(source.glob(_ROBOFLOW))}
    if not splits:
        raise ReadError(
            "no COCO data set in this folder",
            Where(file=str(folder)),
            hint="name the JSON file itself, results with their --ground-truth",
        )
    for members in splits.values():
        members.sort(key=_rank)
    return Found(splits, results)


def _rank(path: Path) -> int:
    task = wire.split_name(path.stem)[0]
    return _FULLEST_FIRST.index(task) if task in _FULLEST_FIRST else len(_FULLEST_FIRST)


def _is_report(path: Path) -> bool:
    return path.name == "report.json" or path.name.endswith(".report.json")


def _is_results(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def sniff(source: Path) -> str | None:
    """None for a COCO file or folder; otherwise what it lacks."""
    if not source.is_dir():
        return _sniff_file(source)
    folder = source / "annotations" if (source / "annotations").is_dir() else source
    candidates = sorted([*folder.glob("*.json"), *source.glob(_ROBOFLOW)])
    candidates = [path for path in candidates if path.name not in _NOT_COCO][:8]
    if not candidates:
        return "no .json file in it or its annotations folder"
    reasons = [reason for path in candidates if (reason := _sniff_file(path)) is not None]
    return None if len(reasons) < len(candidates) else reasons[0]


def _sniff_file(path: Path) -> str | None:
    if path.suffix.lower() != ".json":
        return "its name does not end in .json"
    try:
        with JsonDocument(path) as document:
            if document.root() == "array":
                return _sniff_results(document)
            for keys, member in enumerate(document.members()):
                if member.key in ("images", "annotations", "categories") and member.kind == "array":
                    return None
                if member.key not in ("info", "licenses", "type") and keys > 8:
                    break
    except (ConvertError, OSError) as error:
        return f"not readable as JSON ({error})".splitlines()[0]
    return "no 'images', 'annotations' or 'categories' at its root"


def _sniff_results(document: JsonDocument) -> str | None:
    lacking = "an empty array"
    for member in document.members():
        for rows in itertools.islice(member.rows(_RAWS), _BLOCKS):
            good = next((i for i, probe in enumerate(rows.probes) if not isinstance(probe, Exception)), None)
            if good is not None:
                row = wire.verbatim(rows.raw(good))
                found = isinstance(row, dict) and "image_id" in row
                return None if found else "an array whose first element has no 'image_id'"
            lacking = "an array whose first elements are no JSON"
        break
    return lacking

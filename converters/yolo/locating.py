"""What describes a source, if anything does, and whether it is YOLO's at all."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.errors import ConvertError, ReadError, Where
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.yolo import tree as trees
from nucleus_convert.converters.yolo.tree import Tree
from nucleus_convert.formats import yolo as wire


class Place(msgspec.Struct, frozen=True):
    """What describes a source: a data.yaml, an obj.data, a file of names, a list of images, or nothing."""

    root: Path
    yaml: Path | None = None
    darknet: Path | None = None
    listed: Path | None = None


def locate(source: Path) -> Place:
    """Find what describes a source.

    Raises:
        ReadError: nothing there, or more than one file that could.
    """
    where = Where(file=str(source))
    if source.is_file():
        suffix = source.suffix.lower()
        if suffix in (".yaml", ".yml"):
            return Place(source.parent, yaml=source)
        if suffix == ".data":
            return Place(source.parent, darknet=source)
        if suffix == ".txt":
            return Place(source.parent, listed=source)
        raise ReadError(
            "this is no data.yaml, obj.data or list of images", where, "give the data set's folder"
        )
    if not source.is_dir():
        raise ReadError("no such file or folder", where, hint="check the path")
    yamls = [
        path
        for path in sorted(source.iterdir())
        if path.suffix.lower() in (".yaml", ".yml") and path.is_file()
    ]
    named = [path for path in yamls if path.stem.lower() in ("data", "dataset")]
    fitting = named or [path for path in yamls if _describes(path)]
    if len(fitting) > 1:
        raise ReadError(
            f"more than one file could describe the data set: {', '.join(path.name for path in fitting[:5])}",
            where,
            "give the right one as the source",
        )
    if fitting:
        return Place(source, yaml=fitting[0])
    for folder in (source, source / "data"):
        found = sorted(folder.glob("*.data")) if folder.is_dir() else []
        if len(found) > 1:
            raise ReadError("more than one .data file", where, "give the right one as the source")
        if found:
            return Place(source, darknet=found[0])
    return Place(source)


def _describes(path: Path) -> bool:
    """Whether a YAML file has names or splits."""
    try:
        found = wire.load_yaml(path)
    except ConvertError:
        return False
    return bool(found.names or found.nc or found.splits())


def sniff(source: Path) -> str | None:
    """None if the source is a YOLO data set; else what it lacks."""
    try:
        place = locate(source)
    except ReadError as error:
        return error.message
    try:
        if place.yaml is not None:
            data = wire.load_yaml(place.yaml)
            fits = bool(data.names or data.nc or data.splits())
            return None if fits else f"{place.yaml.name} has neither names nor splits"
        if place.darknet is not None:
            return (
                None
                if wire.load_assignments(place.darknet)
                else f"{place.darknet.name} has no key = value lines"
            )
        if place.listed is not None:
            return _sniff_list(place.listed)
        folders = trees.class_folders(source)
        if folders and None not in folders:
            return None
        return _sniff_folder(source)
    except ConvertError as error:
        return error.message
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _sniff_list(path: Path) -> str | None:
    with path.open("rb") as file:
        first = file.readline(4096).strip().decode("utf-8", "replace")
    return None if imagefile.is_image(first) else "the file is no list of images"


def _sniff_folder(source: Path) -> str | None:
    """A folder is YOLO's if the first label files in it hold label lines."""
    looked = 0
    for name in Tree(source, Report()).walk("", trees.is_label):
        looked += 1
        if looked > 50:
            break
        with (source / name).open("rb") as file:
            data = file.read(1 << 16)
        lines = list(wire.rows(data))[:3]
        if lines:
            return None if all(_is_line(columns) for _, columns in lines) else f"{name} holds no label lines"
    if looked:
        return "its .txt files are empty"
    return "there is neither a data.yaml, nor an obj.data, nor a label file"


def _is_line(columns: list[bytes]) -> bool:
    try:
        values = [float(column) for column in columns]
    except ValueError:
        return False
    return (
        len(values) >= 5
        and values[0] >= 0
        and values[0].is_integer()
        and all(-1 <= v <= 2 for v in values[1:5])
    )

"""What a source is: where its images, labels and class names are, and how its lines are to be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ReadError, SchemaError, Where
from nucleus_convert.converters.model import Header, Label
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.yolo import tree as trees
from nucleus_convert.converters.yolo.evidence import Evidence, Plan, plan, sample
from nucleus_convert.converters.yolo.locating import Place, locate
from nucleus_convert.converters.yolo.naming import NO_LABEL, class_folder
from nucleus_convert.converters.yolo.options import ReadOptions, Task, pair
from nucleus_convert.converters.yolo.reserved import KEY, SIDECAR, SIZES, VERSION, Sidecar, restore_header
from nucleus_convert.converters.yolo.tree import Listing, Tree
from nucleus_convert.formats import yolo as wire

_NAMES_FILES = (
    "obj.names",
    "classes.txt",
    "names.txt",
    "_darknet.labels",
    "labels/classes.txt",
    "data/obj.names",
)
_HINTS = ("dota", "obb")


class Opened(msgspec.Struct):
    """A data set that is ready to be read."""

    listing: Listing
    header: Header
    plan: Plan
    names: dict[int, str | None]
    sizes: dict[str, tuple[int, int]] = {}
    sidecar: Sidecar | None = None
    classify: bool = False
    named_lines: bool = False


def opened(source: Path, options: ReadOptions, report: Report) -> Opened:
    """Open a source.

    Raises:
        ReadError: there is nothing to read, or a file that describes it is wrong.
    """
    place = locate(source)
    if place.yaml is not None:
        return _from_yaml(place, wire.load_yaml(place.yaml), options, report)
    root = options.root or place.root
    tree = Tree(root, report)
    names: list[str] = []
    folders: dict[str | None, list[str]] = {}
    if place.darknet is not None:
        names = trees.darknet(place.darknet, tree)
    elif place.listed is not None:
        tree.add_list(
            _below(place.listed, root),
            place.listed.stem if trees.SPLIT_NAME.match(place.listed.stem) else None,
        )
    else:
        if options.task in ("auto", "classify"):
            folders = trees.class_folders(root)
            if options.task == "auto" and not _sure_classes(folders, root):
                folders = {}
        if folders:
            names = trees.add_classes(tree, folders, root)
        else:
            tree.add_all()
    if options.names is not None:
        names = []
    elif not names:
        found = next((root / name for name in _NAMES_FILES if (root / name).is_file()), None)
        names = wire.load_names(found) if found is not None else []
    return _opened(
        tree,
        wire.DataYaml(names=dict(enumerate(names))),
        options,
        report,
        classify=bool(folders),
        hint=_hint(root, []),
    )


def _sure_classes(folders: Mapping[str | None, list[str]], root: Path) -> bool:
    """Whether a tree is one of classes without being told: splits, or folders of images and nothing else."""
    if not folders:
        return False
    return None not in folders or not any(
        trees.is_label(path.name) or path.suffix == ".json" for path in root.iterdir()
    )


def _below(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        raise ReadError("the list is not in the root folder", Where(file=str(path)), "give --root") from None


# --- data.yaml -----------------------------------------------------------------------------------------


def _from_yaml(place: Place, data: wire.DataYaml, options: ReadOptions, report: Report) -> Opened:
    path = place.yaml
    assert path is not None
    where = Where(file=path.name)
    ours = _ours(data, where)
    root = options.root or _root(path, data, report)
    tree = Tree(root, report)
    splits = data.splits()
    others = data.other_splits()
    task = ours.get("task")
    places: dict[str, list[str]] = {}
    for name, found in {**splits, **others}.items():
        if name in others and not any(_is_place(tree, entry) for entry in found):
            continue
        places[name] = found
    kept = {name: value for name, value in data.others.items() if name not in places and name != KEY}
    if ours.get("splits") is not None:
        places = {name: [entry] for name, entry in ours["splits"].items()}
    # All splits naming one place is how a data set without splits satisfies a tool that asks for them.
    single = len(places) > 1 and len({tuple(found) for found in places.values()}) == 1
    if single:
        report.add(
            Code.ASSUMED, "all splits name the same images: read as a data set without splits", format="yolo"
        )
        places = {next(iter(places)): next(iter(places.values()))}
    for name, found in places.items():
        for entry in found:
            subset = None if single or name == ours.get("unsplit") else name
            _add_place(tree, entry, subset, msgspec.structs.replace(where, path=name), report)
    if not places:
        tree.add_all()
    opened = _opened(
        tree, data, options, report, kept=kept, ours=ours, classify=task == "classify",
        hint=_hint(root, [path.name, str(data.others.get("task", ""))]),
    )  # fmt: skip
    folder = path.parent
    if ours and (folder / SIDECAR).is_file():
        opened.sidecar = Sidecar(folder / SIDECAR)
        opened.header = restore_header(opened.sidecar.header, opened.header, Where(file=SIDECAR, line=1))
    return opened


def _is_place(tree: Tree, entry: str) -> bool:
    return any(
        (tree.root / name).is_dir() or (name.endswith(".txt") and tree.exists(name))
        for name in tree._candidates(entry.replace("\\", "/"), "")
        if name
    )


def _add_place(tree: Tree, entry: str, subset: str | None, where: Where, report: Report) -> None:
    try:
        tree.add_place(entry, subset, where)
    except ReadError:
        # A split that is announced and was never exported is usual; one that leaves nothing to read is not.
        report.add(
            Code.IGNORED_FILE,
            f"'{entry}' of split {where.path} is not to be found (--root)",
            format="yolo",
            where=where,
        )


def _ours(data: wire.DataYaml, where: Where) -> dict[str, Any]:
    """What we noted in a ``data.yaml`` that we wrote."""
    kept = data.others.get(KEY)
    if kept is None:
        return {}
    if not isinstance(kept, dict) or not isinstance(kept.get("version"), int):
        raise SchemaError(f"key '{KEY}' is not what nucleus-convert writes", where, "remove the key")
    if kept["version"] > VERSION:
        raise SchemaError("written by a newer nucleus-convert", where, "read it with that version")
    splits = kept.get("splits")
    good = (
        kept.get("task") in get_args(Task)
        and (
            splits is None or (isinstance(splits, dict) and all(isinstance(v, str) for v in splits.values()))
        )
        and isinstance(kept.get("placeholders", []), list)
        and isinstance(kept.get("unlabelled", 0), int)
    )
    if not good:
        raise SchemaError(f"key '{KEY}' was changed", where, "remove the key to read without it")
    return kept


def _root(path: Path, data: wire.DataYaml, report: Report) -> Path:
    """The folder that paths are relative to: ``path`` as far as it stays below the file's own folder."""
    folder = path.parent
    if data.path in (None, "", ".", "./"):
        return folder
    text = str(data.path).replace("\\", "/")
    inside = trees._inside(text, folder)
    name = inside if inside is not None else text
    try:
        candidate = imagefile.inside(folder, name)
    except SchemaError:
        candidate = folder / "\0"
    found = candidate.is_dir() if "\0" not in str(candidate) else False
    if not found:
        report.add(
            Code.ASSUMED, "'path' leads elsewhere: read from the file's own folder (--root)", format="yolo",
            where=Where(file=path.name, path="path"),
        )  # fmt: skip
        return folder
    return candidate


def _hint(root: Path, texts: list[str]) -> str | None:
    """A word that speaks for turned boxes."""
    for text in [*texts, root.resolve().name]:
        for word in _HINTS:
            if word in text.lower():
                return f"'{text}' says so"
    return None


# --- names, columns, header ----------------------------------------------------------------------------


def _opened(
    tree: Tree,
    data: wire.DataYaml,
    options: ReadOptions,
    report: Report,
    *,
    kept: Mapping[str, Any] = {},
    ours: Mapping[str, Any] = {},
    classify: bool,
    hint: str | None,
) -> Opened:
    listing = tree.listing
    if not len(listing) and not ours:
        raise ReadError(
            "neither images nor label files are there",
            Where(file=str(tree.root)),
            "check the path; if data.yaml's paths are relative to another folder, give --root",
        )
    if options.names is not None:
        named = options.names.suffix.lower() in (".yaml", ".yml")
        names = (
            wire.load_yaml(options.names).names if named else dict(enumerate(wire.load_names(options.names)))
        )
    else:
        names = dict(data.names) or {
            number: f"class_{number}" for number in range(min(data.nc or 0, 100_000))
        }
    _check_count(data, names, report)
    kpt = data.kpt_shape
    infer = options.kpt_shape == "infer"
    if options.kpt_shape is not None and not infer:
        kpt = pair(options.kpt_shape)
    evidence = Evidence()
    if not classify and not ours:
        labels_of = list(dict.fromkeys(listing.labels))
        whole = not names or options.unknown_class == "name"  # every class number is wanted
        for label in labels_of if whole else sample(labels_of):
            if tree.exists(label):
                evidence.look(wire.read_bytes(tree.root / label), label, kpt)
    named_lines = not ours and (options.task == "classify" or (bool(evidence.names) and not evidence.widths))
    task: Task | None = None if options.task == "auto" else options.task
    if ours:
        made = Plan(
            task=ours["task"] if ours["task"] == "pose" else None,
            kpt=kpt,
            quads=ours["task"] == "obb",
            literal=True,
        )
    elif classify or named_lines:
        made = Plan(task="classify")
    else:
        made = plan(
            evidence, task=task, trailing=options.trailing, kpt=kpt, infer=infer, hint=hint, report=report
        )
    if named_lines and not classify:
        known = set(names.values())
        extra = sorted(evidence.names - known)
        start = max(names, default=-1) + 1
        names.update(enumerate(extra, start))
    elif not names or options.unknown_class == "name":
        for number in sorted(evidence.classes - names.keys()):
            names[number] = f"class_{number}"
            report.add(Code.LABEL_UNDECLARED, f"{number} (named class_{number})", format="yolo")
    labels, table = _labels(names, data, ours, report)
    extras = _extras(data, kept, made, ours, evidence.task(made))
    if classify and ours:
        folders = {class_folder(name): name for name in names.values()}
        listing.labels = [_class_of(image, folders) for image in listing.images]
    sizes: dict[str, tuple[int, int]] = {}
    manifest = options.sizes or (tree.root / SIZES if (tree.root / SIZES).is_file() else None)
    if manifest is not None:
        sizes = wire.load_sizes(manifest)
        if ours:
            _reorder(listing, sizes)
    return Opened(
        listing=listing,
        header=Header(labels=labels, extras={"yolo": extras}),
        plan=made,
        names=table,
        sizes=sizes,
        classify=classify,
        named_lines=named_lines and not classify,
    )


def _class_of(image: str, folders: Mapping[str, str]) -> str:
    """The class that an image's folder stands for."""
    folder = image.split("/")[-2] if "/" in image else NO_LABEL
    return "" if folder == NO_LABEL else folders.get(folder, folder)


def _check_count(data: wire.DataYaml, names: Mapping[int, str], report: Report) -> None:
    if data.nc is not None and data.names and data.nc != len(names):
        report.add(
            Code.VALUE_NORMALISED, f"{len(names)} names, not the {data.nc} that nc announces", format="yolo",
            where=Where(path="nc"),
        )  # fmt: skip


def _labels(
    names: Mapping[int, str], data: wire.DataYaml, ours: Mapping[str, Any], report: Report
) -> tuple[tuple[Label, ...], dict[int, str | None]]:
    """Labels in the order in which they are named, and which name each number stands for."""
    labels: list[Label] = []
    table: dict[int, str | None] = {}
    placeholders = set(ours.get("placeholders", ()))
    unlabelled = ours.get("unlabelled")
    taken: set[str] = set()
    counts: dict[str, int] = {}
    for name in names.values():
        counts[name] = counts.get(name, 0) + 1
    points = data.kpt_shape[0] if data.kpt_shape else 0
    # A mapping's keys say the numbers, whatever its order is: the header keeps that.
    for number, name in list(names.items()):
        if number == unlabelled:
            table[number] = None
            continue
        if number in placeholders:
            continue
        extras: dict[str, Any] = {}
        if counts[name] > 1 and name in taken:
            extras = {"yolo": {"name": name}}
            while name in taken or name in counts:
                name = f"{name}#{number}"
            report.add(
                Code.LABEL_RENAMED, f"class {number} '{names[number]}' becomes '{name}'", format="yolo"
            )
        taken.add(name)
        table[number] = name
        keypoints = tuple(data.kpt_names.get(number, ())) or (
            tuple(data.kpt_names.get(0, ())) if len(data.kpt_names) == 1 and not ours else ()
        )
        if points and len(keypoints) != points:
            keypoints = ()
        skeleton = _skeleton(data, points) if keypoints or not ours else ()
        labels.append(Label(name=name, id=number, keypoints=keypoints, skeleton=skeleton, extras=extras))
    return tuple(labels), table


def _skeleton(data: wire.DataYaml, points: int) -> tuple[tuple[int, int], ...]:
    """``skeleton`` is nobody's standard: from 0, unless an index shows that it counts from 1."""
    edges = data.skeleton or []
    first = 1 if any(points in edge for edge in edges) else 0
    pairs = tuple((a - first, b - first) for a, b in edges)
    return pairs if all(0 <= end < max(points, 1) for edge in pairs for end in edge) else ()


def _extras(
    data: wire.DataYaml, kept: Mapping[str, Any], made: Plan, ours: Mapping[str, Any], told: Task | None
) -> dict[str, Any]:
    """What the header keeps of a data set: keys that are not ours to understand, the task, keypoints."""
    others = dict(kept)
    extras: dict[str, Any] = {}
    if "download" in others:
        extras["download"] = others.pop("download")
    if others:
        extras["yaml"] = others
    task = ours.get("task") or made.task or ("pose" if made.kpt else "obb" if made.quads else told)
    said = not ours or ours.get("told") is True
    if task and said:
        extras["task"] = task
    if made.kpt and said:
        extras["kpt_shape"] = list(made.kpt)
    if data.flip_idx:
        extras["flip_idx"] = data.flip_idx
    if data.skeleton and not _skeleton(data, data.kpt_shape[0] if data.kpt_shape else 0):
        extras["skeleton"] = [list(edge) for edge in data.skeleton]
    return extras


def _reorder(listing: Listing, sizes: Mapping[str, Any]) -> None:
    """Our manifest holds the images in the order in which they came, across the splits."""
    order = {name: position for position, name in enumerate(sizes)}
    last = len(order)
    places = sorted(range(len(listing)), key=lambda i: order.get(listing.images[i], last))
    listing.images = [listing.images[i] for i in places]
    listing.labels = [listing.labels[i] for i in places]
    listing.subsets = [listing.subsets[i] for i in places]

"""VOC data sets to records: an index of names first, then each item's files when its turn comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import MalformedFileError, ReadError, UnknownFormatError, Where
from nucleus_convert.converters.imagefile import is_image
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Header, Label
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.voc import classes, evidence, folders, lists, survey
from nucleus_convert.converters.voc.folders import CLASS_PNG, INSTANCE_PNG, Folder, Items
from nucleus_convert.converters.voc.lists import Lists
from nucleus_convert.converters.voc.memberships import Memberships, Side
from nucleus_convert.converters.voc.numbers import Coords
from nucleus_convert.converters.voc.options import ReadOptions
from nucleus_convert.converters.voc.records import VocSource
from nucleus_convert.converters.voc.results import Results
from nucleus_convert.formats import voc as wire


def sniff(source: Path) -> str | None:
    """None if this is a VOC data set; otherwise what is missing."""
    return folders.sniff(source)


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open a development kit tree, a folder of annotation files, one of them, or results files.

    See :func:`read_by`, which this is with one worker.
    """
    return read_by(source, options=options, report=report, workers=1)


def read_by(source: Path, *, options: ReadOptions, report: Report, workers: int | None) -> LabelSet:
    """Open a development kit tree, a folder of annotation files, one of them, or results files.

    Args:
        source: the file or folder.
        options: see :class:`ReadOptions`.
        report: findings of the first pass; those of the second go to the report given to ``records``.
        workers: processes that look through the files; None: as many as pay.

    Raises:
        ReadError: there is no such data set, or a file of it that all depends on cannot be read.
    """
    found = folders.find(source)
    if not found:
        raise UnknownFormatError(
            f"no VOC data set: {folders.sniff(source)}",
            Where(file=str(source)),
            "name the folder of Annotations",
        )
    side = _side(found)
    items, sets, results = _index(found, side, report)
    memberships = Memberships(sets.files, side)
    records = VocSource(
        folders=found,
        items=items,
        lists=sets,
        results=results,
        memberships=memberships,
        side=side,
        options=options,
        reader=wire.Reader(),
    )
    records.coords = _said(options, side) or survey.guess(records)
    seen, kept = survey.look_through(records, report, workers)
    coords = _coords(options, side, seen, report)
    if coords != records.coords:
        kept.clear()
    masked = any(items.has(n) & (CLASS_PNG | INSTANCE_PNG) for n in range(len(items)))
    used = seen.used()
    extra = [*memberships.classes, *dict.fromkeys(label for _, _, label, _ in results.files)]
    if options.parts == "boxes":
        extra += seen.parts
    used = list(dict.fromkeys([*used, *extra]))
    table = classes.load(found[0].root, used, masked=masked)
    labels = list(table.labels)
    class_names = dict(table.names)
    if masked and not class_names:
        _guess_classes(found, items, class_names, labels, report)
    if options.void == "label" and masked:
        labels.append(Label(name="void", id=255))
    own: dict[str, Any] = {"coords": coords, **table.extras}
    if sets.files and not side.listed:
        own["sets"] = list(sets.files)
    if results.stems and not side.ours:
        own["results"] = list(results.stems)
    header = Header(labels=tuple(labels), extras={} if side.ours else {"voc": own})
    if side.ours:
        header = reserved.restore_header(side.header, header, Where(file=folders.SIDE_FILE))
    images = found[0].images if len(found) == 1 else source
    settled = records.settled(coords, class_names, table.colors, kept)
    return LabelSet(header, settled, size=len(items), images=images)


def _side(found: list[Folder]) -> Side:
    """What this program wrote beside the data set, if it did.

    Raises:
        SchemaError: it is not what this program writes.
        MalformedFileError: it cannot be read.
    """
    path = found[0].root / folders.SIDE_FILE
    if len(found) > 1 or found[0].one is not None or not path.is_file():
        return Side()
    where = Where(file=folders.SIDE_FILE)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedFileError(
            f"cannot be read ({error})", where, "remove the file to read without it"
        ) from error
    kept = reserved.load(text, where)
    side: Side = reserved.convert({name: value for name, value in kept.items() if name != "v"}, Side, where)
    return msgspec.structs.replace(side, ours=True)


def _index(found: list[Folder], side: Side, report: Report) -> tuple[Items, Lists, Results]:
    """The items of all folders, and what the lists and results say of them."""
    items, sets, results = Items(), Lists(), Results()
    for number, folder in enumerate(found):
        has = folders.listing(folder)
        rows = lists.files(folder.sets) if folder.sets is not None and folder.sets.is_dir() else []
        numbers: dict[str, int] = {}
        # What this program wrote comes back in the order in which it was written: that of the lists.
        if side.ours:
            for name in side.order:
                path = (folder.sets or folder.root) / f"Main/{name}.txt"
                if path.is_file():
                    for _, identity, _ in lists.lines(path, folder.shown(path)):
                        if identity in has and identity not in numbers:
                            numbers[identity] = items.add(number, identity, has[identity])
        others = sorted(name for name in has if name not in numbers)
        numbers.update(zip(others, items.extend(number, others, [has[name] for name in others]), strict=True))
        unlisted = 0
        for name, path in rows:
            which = sets.file(name)
            plain = lists.plain_lines(path, numbers)
            if plain is not None:
                sets.extend(plain, which)
                continue
            for _, identity, rest in lists.lines(path, folder.shown(path)):
                own = lists.item_name(identity, numbers)
                if own not in numbers:
                    numbers[own] = items.add(number, own, 0)
                    unlisted += 1
                sets.add(numbers[own], which, rest)
        if unlisted and has:
            report.add(
                Code.ASSUMED, "items in the lists of ImageSets that have no annotation file", format="voc",
                count=unlisted, where=Where(file=folder.shown(folder.sets or folder.root)),
            )  # fmt: skip
        _results(number, folder, items, numbers, results, report)
        _unlabelled(folder, numbers, report)
    sets.freeze()
    results.freeze()
    return items, sets, results


def _results(
    number: int, folder: Folder, items: Items, numbers: dict[str, int], results: Results, report: Report
) -> None:
    """Index the results files of a folder."""
    if folder.results is None:
        return
    paths = [folder.results] if folder.results.is_file() else sorted(folder.results.rglob("*"))

    def item(identity: str) -> int:
        if identity not in numbers:
            numbers[identity] = items.add(number, identity, 0)
        return numbers[identity]

    for path in paths:
        if not path.is_file():
            continue
        if wire.result_name(path.name) is None:
            report.add(
                Code.IGNORED_FILE,
                "results that are neither detections nor classifications",
                format="voc",
                where=Where(file=folder.shown(path)),
            )
            continue
        results.add(path, folder.shown(path), item)


def _unlabelled(folder: Folder, numbers: dict[str, int], report: Report) -> None:
    """Count images that have neither an annotation nor a place in a list."""
    if folder.images is None or not folder.suffixes or folder.one is not None:
        return
    count = 0
    example = None
    for suffix in folder.suffixes:
        for name in folders.names_of(folder.images, suffix):
            if name not in numbers and is_image(name + suffix):
                count += 1
                example = example or Path(folder.images, name + suffix)
    if count and example is not None:
        what = "images without an annotation file that are in no list"
        report.add(
            Code.IGNORED_FILE, what, format="voc", count=count, where=Where(file=folder.shown(example))
        )


def _said(options: ReadOptions, side: Side) -> Coords | None:
    """What coordinates mean, where that is said."""
    return side.coords if options.coords == "auto" else options.coords


def _coords(options: ReadOptions, side: Side, seen: evidence.Evidence, report: Report) -> Coords:
    said = _said(options, side)
    if said is not None:
        return said
    coords, why = seen.decide()
    if seen.files:
        evidence.report_coords(coords, why, report)
    return coords


def _guess_classes(
    found: list[Folder], items: Items, names: dict[int, str], labels: list[Label], report: Report
) -> None:
    """Without a label map, the classes of masks go by their number; this finds out which there are."""
    from nucleus_convert.converters.voc import segments

    present: set[int] = set()
    colors = classes.palette_colors()
    for number in range(len(items)):
        folder = found[items.folder(number)]
        if not items.has(number) & CLASS_PNG or folder.classes is None:
            continue
        path = folder.classes / f"{items.name(number)}.png"
        try:
            present.update(segments.read_indices(path, colors, folder.shown(path)).ravel().tolist())
        except ReadError:
            continue
    have = {label.name for label in labels}
    for index in sorted(present - {0, segments.VOID}):
        names[index] = f"class {index}"
        if names[index] not in have:
            labels.append(Label(name=names[index], id=index))
        report.add(Code.LABEL_UNDECLARED, str(index), format="voc", where=Where(file=classes.LABELMAP))

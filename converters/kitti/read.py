"""KITTI data sets to records: folders are looked through first, files read when their turn comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nucleus_convert.converters.errors import ReadError, UnknownFormatError, Where
from nucleus_convert.converters.filenames import inside
from nucleus_convert.converters.kitti import folders, raw, side
from nucleus_convert.converters.kitti.index import Index
from nucleus_convert.converters.kitti.objects import BESIDE, FORMAT, PICTURES, RESULTS, SCORES, Meaning
from nucleus_convert.converters.kitti.options import ReadOptions
from nucleus_convert.converters.kitti.records import CALIB, KittiSource
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Header
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.kitti import tracklets
from nucleus_convert.formats.rows import RowFile


def sniff(source: Path) -> str | None:
    """None if this is a KITTI data set; otherwise what is missing."""
    try:
        return folders.sniff(source)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open folders of the object or tracking benchmark, of label files, raw drives, or a file of either.

    Args:
        source: the file or folder.
        options: see :class:`ReadOptions`.
        report: findings of the first look; those of the second go to the report given to ``records``.

    Raises:
        ReadError: there is no such data set, or a file of it that all depends on cannot be read.
    """
    if source.is_dir() and (source / folders.SIDE_FILE).is_file():
        return _ours(source, options, report)
    parts = folders.find(source, options.camera, told=True)
    if not parts and not folders.drives(source):
        raise UnknownFormatError(
            f"no KITTI data set: {folders.sniff(source, options.camera)}",
            Where(file=str(source)),
            "name the folder that holds label_2, label_02, the text files, or a drive's velodyne_points",
        )
    if options.results is not None:
        parts = [folders.with_results(parts, options.results)]
    root = source.parent if source.is_file() else source
    index = Index(source, parts, options, report)
    meaning = Meaning(index.seen.scored(report), options.predictions)
    own: dict[str, Any] = {} if meaning.scores else {SCORES: False}
    if meaning.scores and index.results():
        own[RESULTS] = True
    if index.beside:
        own[BESIDE] = index.beside
    if index.classes:
        own[PICTURES] = True
    header = Header(
        labels=index.header_labels(),
        scenes=tuple(index.scenes),
        extras={FORMAT: own} if own else {},
    )
    records = KittiSource(
        root=root, options=options, meaning=meaning, entries=index.entries, calibs=_calibs(header), drives=index.drives,
        names=index.class_names(),
    )
    return LabelSet(header, records, size=len(index.entries), images=root)


def _ours(source: Path, options: ReadOptions, report: Report) -> LabelSet:
    path = source / folders.SIDE_FILE
    where = Where(file=str(path), line=1)
    try:
        with path.open("rb") as file:
            data = file.readline(side.LARGEST)
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", where) from error
    kept = side.first(data, where)
    lines = side.offsets(path)
    # A record reads its own frame's poses: of a tracklet that is none, no record would know.
    names = dict.fromkeys(raw.Tracks(scene).file(tracklets.FILE) for scene in kept.header.scenes)
    for drive in [inside(source, name) for name in names]:
        if drive is not None and drive.is_file():
            raw.reject_bad(raw.load(drive), report)
    records = KittiSource(
        root=source,
        options=options,
        meaning=Meaning(kept.scores, options.predictions),
        lines=lines,
        side_file=RowFile(path),
        calibs=_calibs(kept.header),
    )
    return LabelSet(kept.header, records, size=len(lines), images=source)


def _calibs(header: Header) -> dict[str, str]:
    """Scene -> its calibration; empty where it has none."""
    return {
        scene.id: text if type(text := scene.extras.get(FORMAT, {}).get(CALIB)) is str else ""
        for scene in header.scenes
    }

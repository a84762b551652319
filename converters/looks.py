"""``inspect`` and ``check``: what is in a data set of any format, and what is wrong with it.

Reading goes on after a row that cannot be read, so that no problem is hidden behind the first one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from nucleus_convert.converters import options as option_models
from nucleus_convert.converters import registry
from nucleus_convert.converters import source as sources
from nucleus_convert.converters.checking.catalogue import Code, Level
from nucleus_convert.converters.checking.consistency import Seen, Whole
from nucleus_convert.converters.checking.problems import Key, Problems
from nucleus_convert.converters.checking.records import DUPLICATE_IOU, Checker, checker
from nucleus_convert.converters.codes import CATALOGUE, SCORES_BEYOND, Severity
from nucleus_convert.converters.codes import Code as Finding
from nucleus_convert.converters.errors import ConvertError, OptionError
from nucleus_convert.converters.inspecting.statistics import Statistics
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Header, Record
from nucleus_convert.converters.parallel import collector_off, encode_chunks, hands
from nucleus_convert.converters.pipeline import AnyPath, Progress, log_file, made_to_fit
from nucleus_convert.converters.report import Report

FailOn: TypeAlias = Literal["never", "warning", "error"]
TARGET = "nucleus"
"""The format whose upload ``check`` can try."""

OWN = frozenset({Finding.REJECTED, Finding.UNREADABLE_SHAPE})
"""What a format's own rules tell, and better, of what its reader turns away."""


class Looked(msgspec.Struct, kw_only=True):
    """What was found out about a data set.

    Attributes:
        name: what the caller calls it.
        format: its format's name.
        title: its format, for people.
        why_not: for each other format, why it is not of that; empty where the format was named.
        header: what it says once; None if it could not be opened.
        statistics: what is in it.
        problems: what is wrong with it.
        error: what made reading end before the end, or None.
    """

    name: str
    format: str
    title: str
    why_not: dict[str, str]
    header: Header | None = None
    statistics: Statistics
    problems: Problems
    error: ConvertError | None = None

    def fails(self, fail_on: FailOn) -> bool:
        """Whether there is a problem so grave."""
        if fail_on == "never" or self.problems.worst is None:
            return False
        return self.problems.worst >= (Level.WARNING if fail_on == "warning" else Level.ERROR)


class _Looker(msgspec.Struct, frozen=True):
    """Counts and checks a stretch of records. Picklable."""

    checker: Checker

    def __call__(self, records: Iterator[Record], report: Report) -> tuple[Problems, Seen, Statistics]:
        """Problems and statistics of a stretch, and what it tells about the whole."""
        held = list(records)
        problems, seen, placed = self.checker.look(held)
        statistics = Statistics()
        for record, extents in zip(held, placed, strict=True):
            statistics.add(record, extents)
        return problems, seen, statistics


def inspect(
    src: AnyPath,
    *,
    source: str | None = None,
    workers: int | None = 1,
    progress: Progress | None = None,
    **options: Any,
) -> Looked:
    """Say what is in a data set, and what is odd about it at a glance.

    Args:
        src: a file, a folder or a ``.zip``.
        source: its format; None: find out.
        workers: processes; None: as many as pay.
        progress: called as the run goes on.
        options: of the format's reader.

    Raises:
        ConvertError: its format cannot be told, or an option is not valid.
    """
    return _look(src, source, options, workers=workers, progress=progress)


def check(
    src: AnyPath,
    *,
    source: str | None = None,
    target: Literal["nucleus"] | None = None,
    asynchronous: bool = False,
    duplicate_iou: float = DUPLICATE_IOU,
    log: AnyPath | None = None,
    workers: int | None = 1,
    progress: Progress | None = None,
    **options: Any,
) -> Looked:
    """Say everything that is wrong with a data set.

    Args:
        src: a file, a folder or a ``.zip``.
        source: its format; None: find out.
        target: "nucleus": what would go wrong when it is uploaded too. Of a source that is Nucleus payloads
            already, that is said in any case.
        asynchronous: whether masks are to be uploaded asynchronously, which local paths are not.
        duplicate_iou: from which overlap on two objects of one label are taken for one, 0.5 to 1.
        log: a file for every single problem, as JSON Lines.
        workers: processes; None: as many as pay.
        progress: called as the run goes on.
        options: of the format's reader, and with ``target`` of its writer.

    Raises:
        ConvertError: its format cannot be told, or an option is not valid.
    """
    if target not in (None, TARGET):
        raise OptionError(f"a data set can be checked as {TARGET} only, not as '{target}'")
    if not 0.5 <= duplicate_iou <= 1:
        raise OptionError(f"option 'duplicate_iou' cannot be {duplicate_iou}", hint="0.5 to 1")
    return _look(
        src,
        source,
        options,
        target=target,
        asynchronous=asynchronous,
        duplicate_iou=duplicate_iou,
        log=log,
        workers=workers,
        progress=progress,
        own_rules=True,
    )


def _look(
    src: AnyPath,
    source: str | None,
    options: Mapping[str, Any],
    *,
    target: str | None = None,
    asynchronous: bool = False,
    duplicate_iou: float = DUPLICATE_IOU,
    log: AnyPath | None = None,
    workers: int | None,
    progress: Progress | None,
    own_rules: bool = False,
) -> Looked:
    with ExitStack() as stack:
        opened = stack.enter_context(sources.opened(Path(src)))
        try:
            name, why_not = _format(source, opened.path)
            module = registry.get(name)
            writer = registry.get(TARGET) if target is not None else None
            reading, writing = option_models.split(
                options, module.ReadOptions, None if writer is None else writer.WriteOptions
            )
            problems = Problems(log=None if log is None else stack.enter_context(log_file(Path(log), opened)))
            looked = Looked(
                name=opened.name,
                format=name,
                title=module.SPEC.title,
                why_not=why_not,
                statistics=Statistics(),
                problems=problems,
            )
            run = _Run(looked, opened.path, workers, progress)
            own = own_rules and hasattr(module, "examine")
            if own:
                run.examine(module, reading, asynchronous=asynchronous)

            def told(key: Key) -> bool:
                """Whether a rule tells of a finding of the reader, and better."""
                return (own and key[0] in OWN) or key[:3:2] == (Finding.OUT_OF_RANGE, SCORES_BEYOND)

            report = Report("skip", log=problems.reader_log(lambda key: not told(key)))
            labels = run.read(module, reading, report)
            if labels is not None:
                looker = _Looker(
                    checker(
                        labels.header,
                        own_values=own,
                        duplicate_iou=duplicate_iou,
                        logged=problems.logged,
                    )
                )
                run.records(labels, looker, report)
            for key, finding in report.findings.items():
                if not told(key):
                    problems.add_finding(finding)
            if writer is not None and not own and labels is not None and looked.error is None:
                run.upload(labels, writer, writing, report, asynchronous=asynchronous)
        except ConvertError as error:
            opened.explain(error)
            raise
        if looked.error is not None:
            opened.explain(looked.error)
        for problem in problems.found.values():
            problem.text, problem.what = opened.shown(problem.text), opened.shown(problem.what)
            problem.examples = [place for where in problem.examples if (place := opened.place(where))]
    return looked


def _format(source: str | None, path: Path) -> tuple[str, dict[str, str]]:
    """The format of a source, and why it is none of the others."""
    if source is not None:
        return registry.resolve(source), {}
    why = registry.reasons(path) if path.exists() else {}
    fits = [name for name, reason in why.items() if reason is None]
    name = fits[0] if len(fits) == 1 else registry.detect(path)  # raises, with every reason
    return name, {other: reason for other, reason in why.items() if reason is not None}


class _Run:
    """The steps of a look; what makes reading end goes into ``looked.error`` and among the problems."""

    def __init__(self, looked: Looked, path: Path, workers: int | None, progress: Progress | None) -> None:
        self.looked = looked
        self.path = path
        self.workers = workers
        self.progress = progress

    def examine(self, module: Any, options: Any, *, asynchronous: bool) -> None:
        """The format's own rules, over its files."""
        self._stage("checking rows", None)
        try:
            with collector_off():
                module.examine(self.path, options, module.Setting(asynchronous=asynchronous), self.looked.problems)
        except ConvertError as error:
            self._ended(error)

    def read(self, module: Any, options: Any, report: Report) -> LabelSet | None:
        """The data set, or None if it cannot be opened."""
        self._stage("reading", None)
        try:
            labels: LabelSet = module.read(self.path, options=options, report=report)
        except ConvertError as error:
            self._ended(error)
            return None
        self.looked.header = labels.header
        return labels

    def records(self, labels: LabelSet, looker: _Looker, report: Report) -> None:
        """Go through the records."""
        looked = self.looked
        whole = Whole(labels.header, looked.problems, own_values=looker.checker.own_values)
        self._stage("looking", labels.size)
        try:
            for problems, seen, statistics in encode_chunks(
                labels,
                looker,
                report,
                workers=hands(self.workers, labels.size),
                progress=self._counting("looking", labels),
            ):
                looked.problems.merge(problems)
                whole.add(seen)
                looked.statistics.merge(statistics)
        except ConvertError as error:
            self._ended(error)
        whole.close()

    def upload(self, labels: LabelSet, writer: Any, options: Any, report: Report, *, asynchronous: bool) -> None:
        """Write payloads to a temporary folder, and check those."""
        self._stage("writing payloads", labels.size)
        problems = self.looked.problems
        known = {problem.code for problem in problems.found.values()}
        theirs = Problems(logged=problems.logged)

        def news(key: Key) -> bool:
            """Whether a finding is of writing alone, and more than a note."""
            return key not in report.findings and CATALOGUE[key[0]].severity > Severity.INFO

        mine = Report("skip", log=problems.reader_log(news))
        with tempfile.TemporaryDirectory(prefix="nucleus-convert-") as folder:
            fitted, _ = made_to_fit(labels, writer, options, mine)
            workers = hands(self.workers, labels.size)
            progress = self._counting("writing payloads", labels)
            made = writer.payloads(fitted, Path(folder), options, theirs, mine, workers=workers, progress=progress)
            for key, finding in mine.findings.items():
                if news(key):
                    problems.add_finding(finding)
            if made is not None:
                self._stage("checking rows", None)
                setting = writer.Setting(asynchronous=asynchronous, placed=False)
                with collector_off():
                    writer.examine(made, writer.ReadOptions(), setting, theirs)
        problems.merge(theirs, but=known)  # what is wrong with the source already is wrong with its payloads

    def _ended(self, error: ConvertError) -> None:
        looked = self.looked
        looked.error = looked.error or error
        if not looked.problems.count(Code.UNREADABLE, error.message):  # the format's own rules may have told it
            looked.problems.add(Code.UNREADABLE, error.message, error.where)

    def _counting(self, name: str, labels: LabelSet) -> Callable[[int], None] | None:
        progress = self.progress
        return None if progress is None else lambda done: progress(name, done, labels.size)

    def _stage(self, name: str, total: int | None) -> None:
        if self.progress is not None:
            self.progress(name, 0, total)

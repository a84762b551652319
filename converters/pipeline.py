"""A whole run: read, map labels, fit, write, read back and compare, report, move into place.

Nothing is at the target before everything is right. The same input gives the same bytes, whatever the number
of workers: the report holds no times and no temporary names.
"""

from __future__ import annotations

import atexit
import errno
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, get_args

import msgspec

from nucleus_convert import __version__
from nucleus_convert.converters import fit, layout, output, parallel, registry, signals
from nucleus_convert.converters import options as option_models
from nucleus_convert.converters import source as sources
from nucleus_convert.converters import verify as verifying
from nucleus_convert.converters.codes import Code, Severity
from nucleus_convert.converters.compare import Difference
from nucleus_convert.converters.errors import (
    ConvertError,
    LossRefusedError,
    OptionError,
    Where,
    WriteError,
)
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.layout import Layout
from nucleus_convert.converters.protocol import Spec, Stretch, Target
from nucleus_convert.converters.report import OnError, Report, Sink
from nucleus_convert.converters.wording import plural

FailOn: TypeAlias = Literal["never", "warning", "loss"]
Verify: TypeAlias = Literal["auto", "all", "none"]
Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with the stage ("reading", "writing", "checking"), the items done, and of how many, if known."""
AnyPath: TypeAlias = str | os.PathLike[str]

EXCERPTS = 4
"""Stretches of a large output that are read back: of 256 items each, so about as many as :func:`verify.sample_size`."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is to do, apart from the formats' own options."""

    fail_on: FailOn = "never"
    dry_run: bool = False
    overwrite: bool = False
    verify: Verify = "auto"
    workers: int | None = 1
    progress: Progress | None = None


def convert(
    src: AnyPath,
    dst: AnyPath | None,
    *,
    source: str | None = None,
    target: str = "nucleus",
    labels: AnyPath | None = None,
    on_error: OnError = "fail",
    fail_on: FailOn = "never",
    dry_run: bool = False,
    log: AnyPath | None = None,
    overwrite: bool = False,
    verify: Verify = "auto",
    workers: int | None = 1,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Convert a data set and say what became of everything in it.

    Args:
        src: a file, a folder or a ``.zip``.
        dst: the file or folder to make; may be None in a dry run.
        source: the format of ``src``; None: find out.
        target: the format to write.
        labels: a label map file, see :mod:`labelmap`.
        on_error: what a bad record does: "fail" stops, "skip" counts it, "quarantine" also keeps it verbatim.
        fail_on: refuse to write if the report holds a finding so grave.
        dry_run: do everything but leave nothing behind.
        log: a file for every single finding, as JSON Lines.
        overwrite: replace what an earlier run wrote at ``dst``.
        verify: how much of the output to read back and compare: "auto" all of a small data set and stretches
            of a large one, "all", or "none".
        workers: processes; None: as many as pay. More than one needs a ``__main__`` guard in your script.
        progress: called as the run goes on.
        options: the options of the two formats; one that both have goes to both.

    Returns:
        The report, which is also in ``report.json`` with the output.

    Raises:
        ConvertError: nothing was written, and what was at ``dst`` is still there.
    """
    _check_choices(on_error=(on_error, OnError), fail_on=(fail_on, FailOn), verify=(verify, Verify))
    reader = None if source is None else registry.get(source)
    writer = registry.get(target)
    if reader is not None:
        option_models.split(options, reader.ReadOptions, writer.WriteOptions)  # a wrong one is said at once
    if dst is None and not dry_run:
        raise OptionError("no target was given", hint="name a file or folder to make, or ask for a dry run")
    plan = Plan(
        fail_on=fail_on,
        dry_run=dry_run,
        overwrite=overwrite,
        verify=verify,
        workers=workers,
        progress=progress,
    )
    place = layout.of(Path(writer.SPEC.name if dst is None else dst), writer.SPEC)
    if not dry_run:
        layout.check(place, Path(src), overwrite=overwrite)
    mapping: Callable[[LabelSet, Report], LabelSet] | None = None
    if labels is not None:
        mapping = _label_map(Path(labels))
    with ExitStack() as stack:
        opened = stack.enter_context(sources.opened(Path(src)))
        spool = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
        logging = None if log is None else stack.enter_context(log_file(Path(log), opened))
        report = Report(on_error, log=logging, rejects=_Shown(spool, opened))
        try:
            with _explained(place, opened):
                if reader is None:
                    reader = registry.get(registry.detect(opened.path))
                    report.add(Code.DETECTED, reader.SPEC.name)
                reading, writing = option_models.split(options, reader.ReadOptions, writer.WriteOptions)
                if progress:
                    progress("reading", 0, None)
                label_set = _read(reader, opened.path, reading, report, workers)
                if mapping is not None:
                    label_set = mapping(label_set, report)
                report.outputs = {
                    "tool": {"name": layout.TOOL, "version": __version__},
                    "source": {"format": reader.SPEC.name, "name": Path(src).name},
                    "target": {"format": writer.SPEC.name},
                    "options": {
                        "read": reading.model_dump(mode="json"),
                        "write": writing.model_dump(mode="json"),
                        "labels": None if labels is None else Path(labels).name,
                        "on_error": on_error,
                    },
                }
                _emit(label_set, writer, writing, place, report, plan, spool=spool, opened=opened)
        except ConvertError as error:
            opened.explain(error)
            raise
    return report


def read(
    src: AnyPath, format: str | None = None, *, report: Report | None = None, **options: Any
) -> LabelSet:
    """Open a data set: its header now, its records as they are iterated.

    Args:
        src: a file, a folder or a ``.zip`` (unpacked to a temporary folder until the program ends).
        format: the format of ``src``; None: find out.
        report: gets what is found while opening; give it to ``records`` and ``write`` too for a balance.
        options: the format's options for reading.

    Raises:
        ConvertError: it cannot be read.
    """
    report = Report() if report is None else report
    with ExitStack() as stack:
        opened = stack.enter_context(sources.opened(Path(src)))
        try:
            reader = registry.get(format or registry.detect(opened.path))
            reading, _ = option_models.split(options, reader.ReadOptions, None)
            labels: LabelSet = reader.read(opened.path, options=reading, report=report)
        except ConvertError as error:
            opened.explain(error)
            raise
        atexit.register(stack.pop_all().close)
    return labels


def write(
    labels: LabelSet,
    dst: AnyPath,
    format: str = "nucleus",
    *,
    report: Report | None = None,
    fail_on: FailOn = "never",
    overwrite: bool = False,
    verify: Verify = "auto",
    workers: int | None = 1,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Write a label set, as :func:`convert` does.

    Args:
        labels: what to write.
        dst: the file or folder to make.
        format: the format to write.
        report: the run's report, if reading has begun one.
        fail_on: refuse to write if the report holds a finding so grave.
        overwrite: replace what an earlier run wrote at ``dst``.
        verify: how much of the output to read back and compare.
        workers: processes; more than one needs picklable steps and a ``__main__`` guard in your script.
        progress: called as the run goes on.
        options: the format's options for writing.

    Raises:
        ConvertError: nothing was written, and what was at ``dst`` is still there.
    """
    _check_choices(fail_on=(fail_on, FailOn), verify=(verify, Verify))
    writer = registry.get(format)
    _, writing = option_models.split(options, None, writer.WriteOptions)
    place = layout.of(Path(dst), writer.SPEC)
    layout.check(place, None, overwrite=overwrite)
    report = Report() if report is None else report
    report.outputs = {
        "tool": {"name": layout.TOOL, "version": __version__},
        "target": {"format": writer.SPEC.name},
        "options": {"write": writing.model_dump(mode="json"), "on_error": report.on_error},
        **report.outputs,
    }
    plan = Plan(fail_on=fail_on, overwrite=overwrite, verify=verify, workers=workers, progress=progress)
    with _explained(place, None):
        _emit(labels, writer, writing, place, report, plan)
    return report


def _read(reader: Any, path: Path, options: Any, report: Report, workers: int | None) -> LabelSet:
    read_by = getattr(reader, "read_by", None)
    labels: LabelSet
    if read_by is None:
        labels = reader.read(path, options=options, report=report)
    else:
        labels = read_by(path, options=options, report=report, workers=workers)
    return labels


def _label_map(path: Path) -> Callable[[LabelSet, Report], LabelSet]:
    """What a label map file does to a data set."""
    from nucleus_convert.converters import labelmap  # YAML and pydantic, which most runs need not wait for

    asked = labelmap.load(path)
    return lambda labels, report: labelmap.apply(labels, asked, report, where=Where(file=str(path)))


def _check_choices(**choices: tuple[str, Any]) -> None:
    for name, (value, allowed) in choices.items():
        if value not in get_args(allowed):
            hint = f"one of {', '.join(get_args(allowed))}"
            raise OptionError(f"option '{name}' cannot be {value!r}", hint=hint)


def _emit(
    labels: LabelSet,
    writer: Any,
    options: Any,
    place: Layout,
    report: Report,
    plan: Plan,
    *,
    spool: IO[str] | None = None,
    opened: sources.Opened | None = None,
) -> None:
    """Everything from the label set to the output in place."""
    fitted, spec = made_to_fit(labels, writer, options, report)
    with output.staging(place.final, discard=plan.dry_run) as folder:
        staged = place.staged(folder)
        if not staged.is_file:
            staged.final.mkdir()
        target = Target(
            path=staged.final,
            final=place.final,
            workers=parallel.hands(plan.workers, fitted.size),
            progress=_stage(plan.progress, "writing", fitted.size),
        )
        written: list[Path] = writer.write(fitted, target, options=options, report=report)
        report.ledger.check()
        _compare(fitted, writer, spec, staged, report, plan, target.stretches)
        report.outputs["outputs"] = layout.listing(staged, written)
        if opened is not None:
            _rename(report, opened)
        _refuse(report, plan.fail_on)
        staged.report.write_text(report.to_json(), encoding="utf-8")
        _save_rejected(report, spool, staged.rejected)
        signals.check()
        if not plan.dry_run:
            with signals.undisturbed():
                layout.commit(staged, place, written, overwrite=plan.overwrite)


def made_to_fit(labels: LabelSet, writer: Any, options: Any, report: Report) -> tuple[LabelSet, Spec]:
    """The label set as the target can hold it, and what that is: with these options it may be less than SPEC."""
    narrowed = getattr(writer, "narrowed", None)
    if narrowed is None:
        return fit.fitted(labels, writer.SPEC, report), writer.SPEC
    spec, step = narrowed(labels, options=options, report=report)
    fitted = fit.fitted(labels, spec, report)
    return (fitted if step is None else fitted.then(step)), spec


def _stage(progress: Progress | None, stage: str, total: int | None) -> Callable[[int], None] | None:
    if progress is None:
        return None
    progress(stage, 0, total)
    return lambda done: progress(stage, done, total)


def _compare(
    fitted: LabelSet,
    writer: Any,
    spec: Spec,
    staged: Layout,
    report: Report,
    plan: Plan,
    stretches: list[Stretch],
) -> None:
    """Read the staged output back, with reports of its own: nothing of this counts as read."""
    if plan.verify == "none":
        report.add(Code.NOT_VERIFIED, "the output was not read back and compared")
        return
    if plan.progress:
        plan.progress("checking", 0, None)
    sample = verifying.sample_size(fitted.size) if plan.verify == "auto" else None
    if sample is not None and stretches:
        some = [stretches[i] for i in verifying.spread(len(stretches), EXCERPTS)]
        # A worker that has to be started anew takes longer than it saves.
        workers = parallel.hands(plan.workers, fitted.size) if parallel.start_method() == "fork" else 1
        with tempfile.TemporaryDirectory(prefix="nucleus-convert-") as folder:
            check = _Excerpts(fitted, spec, staged.final, some, Path(folder))
            with closing(parallel.over(range(len(some)), check, workers=workers)) as excerpts:
                compared = verifying.verify_excerpts(excerpts)
    else:
        try:
            written = writer.read(staged.final, options=writer.ReadOptions(), report=Report())
        except ConvertError as error:
            raise verifying.unreadable(error) from error
        compared = verifying.verify(fitted, written, spec, sample=sample)
    if sample is not None and fitted.size is not None and compared < fitted.size:
        text = f"compared {compared:,} of {fitted.size:,} items with the source after writing"
        report.add(Code.NOT_VERIFIED, text)


class _Excerpts:
    """Reads stretches of the staged output, each as a data set, and compares them with what was meant. Picklable."""

    def __init__(
        self, expected: LabelSet, spec: Spec, staged: Path, stretches: list[Stretch], folder: Path
    ) -> None:
        self.expected = expected
        self.spec = spec
        self.staged = staged
        self.stretches = stretches
        self.folder = folder  # the caller's: a worker that is stopped leaves it to be removed

    def __call__(self, number: int) -> tuple[list[Difference], int]:
        """The differences in a stretch, and the number of items compared."""
        writer, stretch = registry.get(self.spec.name), self.stretches[number]
        folder = self.folder / str(number)
        folder.mkdir()
        writer.excerpt(self.staged, stretch, folder)
        written = writer.read(folder, options=writer.ReadOptions(), report=Report())
        return verifying.stretch_differences(self.expected, stretch.start, stretch.stop, written, self.spec)


def _refuse(report: Report, fail_on: FailOn) -> None:
    if fail_on == "never":
        return
    limit = Severity.WARNING if fail_on == "warning" else Severity.LOSS
    grave = [finding for finding in report.sorted() if finding.severity >= limit]
    if not grave:
        return
    total = sum(finding.count for finding in grave)
    findings, kinds = plural(total, "finding"), plural(len(grave), "kind")
    error = LossRefusedError(
        f"the report holds {findings} of {kinds} that --fail-on {fail_on} forbids (first: {grave[0].text})",
        hint="nothing was written; accept them by leaving --fail-on out",
    )
    error.report = report
    raise error


def _save_rejected(report: Report, spool: IO[str] | None, path: Path) -> None:
    """Write the rejected records, if there are any."""
    if spool is not None and spool.tell():
        spool.seek(0)
        with path.open("w", encoding="utf-8") as file:
            shutil.copyfileobj(spool, file)
    elif report.rejected:
        path.write_bytes(b"".join(msgspec.json.encode(rejected) + b"\n" for rejected in report.rejected))


def _rename(report: Report, opened: sources.Opened) -> None:
    """Take the temporary folder of a zip out of the findings."""
    for finding in report.findings.values():
        finding.what = opened.shown(finding.what)
        finding.examples = [place for where in finding.examples if (place := opened.place(where))]


class _Shown:
    """A text file that a zip's temporary folder does not show up in."""

    def __init__(self, file: IO[str], opened: sources.Opened) -> None:
        self._file = file
        self._opened = opened

    def write(self, text: str) -> int:
        return self._file.write(self._opened.shown(text))


@contextmanager
def log_file(path: Path, opened: sources.Opened) -> Iterator[Sink]:
    """Open a log; a zip's temporary folder does not show up in it."""
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise WriteError(f"the log cannot be written ({error.strerror})", Where(file=str(path))) from error
    with file:
        yield _Shown(file, opened)


@contextmanager
def _explained(place: Layout, opened: sources.Opened | None) -> Iterator[None]:
    """Say what the machine could not do as an error that a person can act on."""
    where = Where(file=str(place.final))
    try:
        yield
    except parallel.WorkerDiedError as error:
        raise WriteError(
            "a worker process died: for want of memory, or because it could not import what it needs",
            where,
            hint="try again with one worker",
        ) from error
    except (pickle.PicklingError, AttributeError) as error:
        if "pickle" not in str(error):
            raise
        raise OptionError(
            f"the data set cannot be handed to worker processes ({error})",
            hint="map it with a function of a module, or use one worker",
        ) from error
    except MemoryError as error:
        raise WriteError("not enough memory", where, hint="convert the data set in parts") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WriteError("no room left", where, hint="free some, or choose another place") from error
        if opened is not None and (refusal := opened.refusal(error)) is not None:
            raise refusal from error
        raise WriteError(f"cannot be written ({error.strerror or error})", where) from error

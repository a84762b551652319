"""Runs a function over a label set in chunks of items, in this process or in several, results in order.

Workers get the label set's recipe once (it is pickled, whatever the start method) and do a stretch of items
each. The result does not depend on the number of workers: the chunks are the same, only who does them differs.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from nucleus_convert.converters import signals
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Record
from nucleus_convert.converters.report import Report

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

CHUNK = 256
"""Items in a chunk: large enough to make hand-over cheap, small enough to bound memory."""
MANY_ITEMS = 20_000
"""From so many items on, workers pay for what it costs to start them."""
MOST_WORKERS = 4


class WorkerDiedError(RuntimeError):
    """A worker ended without a word."""


class Encode(Protocol[T_co]):
    """Turns a stretch of records into something to write: picklable, and so is what it returns."""

    def __call__(self, records: Iterator[Record], report: Report) -> T_co:
        """Encode the records of a stretch."""
        ...


def hands(wanted: int | None, items: int | None) -> int:
    """How many workers to have for so many items, if ``wanted`` leaves it open."""
    if wanted is not None:
        return max(1, wanted)
    if items is None or items < MANY_ITEMS:
        return 1
    return min(os.cpu_count() or 1, MOST_WORKERS)


def encode_chunks(
    labels: LabelSet,
    encode: Encode[T],
    report: Report,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Iterator[T]:
    """Yield ``encode(records, report)`` for each chunk of ``labels``, in order.

    With more than one worker the label set's size must be known; otherwise one process does it all.
    """
    if labels.size is None:
        yield from _unsized(labels, encode, report, progress)
        return
    starts = range(0, labels.size, CHUNK)
    if workers <= 1 or len(starts) < 2:
        for start in starts:
            signals.check()
            with collector_off():
                encoded = encode(labels.records(report, start, start + CHUNK), report)
            yield encoded
            if progress:
                progress(min(start + CHUNK, labels.size))
        return
    task = _Encoding(labels, encode, report.child(logged=report.logging))
    for start, (result, theirs) in zip(starts, over(starts, task, workers=workers), strict=True):
        report.merge(theirs)
        yield result
        if progress:
            progress(min(start + CHUNK, labels.size))


class _Encoding:
    """What a worker does with a chunk: its records encoded, and what was found on the way."""

    def __init__(self, labels: LabelSet, encode: Encode[Any], blank: Report) -> None:
        self.labels = labels
        self.encode = encode
        self.blank = blank

    def __call__(self, start: int) -> tuple[Any, Report]:
        report = self.blank.child(logged=self.blank.logging)
        return self.encode(self.labels.records(report, start, start + CHUNK), report), report


@contextmanager
def collector_off() -> Iterator[None]:
    """Records and rows make no cycles, and looking for some among thousands of objects takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _unsized(
    labels: LabelSet, encode: Encode[T], report: Report, progress: Callable[[int], None] | None
) -> Iterator[T]:
    records = labels.records(report)
    done = 0

    def stretch(first: Record) -> Iterator[Record]:
        nonlocal done
        yield first
        done += 1
        for _ in range(CHUNK - 1):
            record = next(records, None)
            if record is None:
                return
            yield record
            done += 1

    while (first := next(records, None)) is not None:
        signals.check()
        yield encode(stretch(first), report)
        if progress:
            progress(done)


# --- processes -----------------------------------------------------------------------------------------


def over(starts: range, task: Callable[[int], T], *, workers: int) -> Generator[T, None, None]:
    """Yield ``task(start)`` for each chunk, in order. With workers, ``task`` and what it returns are pickled."""
    if workers <= 1 or len(starts) < 2:
        for start in starts:
            signals.check()
            with collector_off():
                done = task(start)
            yield done
    else:
        yield from _pooled(starts, task, workers)


def start_method() -> str:
    """How to start workers: ``fork``, where that is the platform's way and nothing else runs; else ``spawn``.

    A forked worker is there at once, and has imported all that this process has. But only the thread that
    forks lives on in it, and what others held locked stays locked: so never beside threads, Python's or a
    library's.
    """
    usual = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    if usual != "fork" or not sys.platform.startswith("linux"):
        return "spawn"
    try:
        threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    except OSError:
        return "spawn"
    return "fork" if threads == 1 else "spawn"


class _Quietly:
    """A task with the collector off."""

    def __init__(self, task: Callable[[int], Any]) -> None:
        self.task = task

    def __call__(self, start: int) -> Any:
        with collector_off():
            return self.task(start)


def _pooled(starts: range, task: Callable[[int], T], workers: int) -> Iterator[T]:
    from nucleus_convert.converters import crew  # and multiprocessing's pipes, which most runs need not wait for

    for result in crew.work(starts, _Quietly(task), start_method(), workers):
        signals.check()
        yield result

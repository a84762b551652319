"""Runs a function over a label set in chunks of items, in this process or in several, results in order.

Workers get the label set's recipe once (it is picklable; start method ``spawn`` works) and do a stretch of items
each. The result does not depend on the number of workers: the chunks are the same, only who does them differs.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
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


class Encode(Protocol[T_co]):
    """Turns a stretch of records into something to write: picklable, and so is what it returns."""

    def __call__(self, records: Iterator[Record], report: Report) -> T_co:
        """Encode the records of a stretch."""
        ...


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
            with _collector_off():
                encoded = encode(labels.records(report, start, start + CHUNK), report)
            yield encoded
            if progress:
                progress(min(start + CHUNK, labels.size))
        return
    yield from _pooled(labels, encode, report, starts, workers, progress)


@contextmanager
def _collector_off() -> Iterator[None]:
    """No cycles are made in a chunk, and looking for them among its thousands of objects takes a third of the time."""
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
        yield encode(stretch(first), report)
        if progress:
            progress(done)


_job: tuple[LabelSet, Encode[Any], Report] | None = None


def _start(labels: LabelSet, encode: Encode[Any], blank: Report) -> None:
    global _job
    signals.leave_to_parent()
    _job = (labels, encode, blank)


def _work(start: int) -> tuple[Any, Report]:
    assert _job is not None
    labels, encode, blank = _job
    report = blank.child(logged=blank.logging)
    with _collector_off():
        return encode(labels.records(report, start, start + CHUNK), report), report


def _pooled(
    labels: LabelSet,
    encode: Encode[T],
    report: Report,
    starts: range,
    workers: int,
    progress: Callable[[int], None] | None,
) -> Iterator[T]:
    context = multiprocessing.get_context("spawn")
    blank = report.child(logged=report.logging)
    with signals.undisturbed():
        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start, initargs=(labels, encode, blank)
        )
    try:
        waiting: deque[Future[tuple[T, Report]]] = deque()
        todo = iter(starts)
        done = 0
        while True:
            while len(waiting) < 2 * workers and (start := next(todo, None)) is not None:
                with signals.undisturbed():
                    waiting.append(pool.submit(_work, start))
            if not waiting:
                break
            result, theirs = waiting.popleft().result()
            report.merge(theirs)
            done += CHUNK
            yield result
            if progress:
                progress(min(done, starts.stop))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

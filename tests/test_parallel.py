"""Chunks in one process or several: the same results in the same order."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nucleus_convert.converters import crew, parallel
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import Annotation, Header, Item, Record
from nucleus_convert.converters.parallel import CHUNK, encode_chunks
from nucleus_convert.converters.report import Report

from .support import BOX


@pytest.fixture
def spawnable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes find this module as this process does."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent))


def numbers(count: int, *, sized: bool = True) -> LabelSet:
    records = [Record(Item(id=i), (Annotation(label="cat", id=i, shapes=(BOX,)),)) for i in range(count)]
    labels = from_records(Header(), records)
    return labels if sized else LabelSet(labels.header, labels.source)


def ids(records: Iterator[Record], report: Report) -> list[int | str]:
    """What a worker does: at module level, so that it can be pickled."""
    found = []
    for record in records:
        found.append(record.item.id)
        report.ledger.item("written")
        report.ledger.fate((("object", "written"), ("box", "written")))
        report.add("carried", "test", format="toy", where=Where(item=str(record.item.id)))
    return found


def fails_in_the_middle(records: Iterator[Record], report: Report) -> int:
    for record in records:
        if record.item.id == CHUNK + 5:
            raise SchemaError("wrong", Where(file="f", path="$.x", item=str(record.item.id)), "mend it")
    return 0


def collects(records: Iterator[Record], report: Report) -> bool:
    list(records)
    return gc.isenabled()


@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
@pytest.mark.parametrize("sized", [True, False])
def test_chunks_are_in_order(count: int, sized: bool) -> None:
    report = Report()
    progress: list[int] = []
    chunks = list(encode_chunks(numbers(count, sized=sized), ids, report, progress=progress.append))
    assert [number for chunk in chunks for number in chunk] == list(range(count))
    assert [len(chunk) for chunk in chunks[:-1]] == [CHUNK] * (len(chunks) - 1)
    assert progress == [min(count, (i + 1) * CHUNK) for i in range(len(chunks))]
    report.ledger.check()
    assert report.ledger.balance()["item"]["read"] == count


@pytest.mark.usefixtures("spawnable")
def test_workers_give_the_same_as_one_process() -> None:
    outcomes = []
    for workers in (1, 2, 3):
        report = Report()
        progress: list[int] = []
        chunks = list(
            encode_chunks(numbers(2 * CHUNK + 9), ids, report, workers=workers, progress=progress.append)
        )
        report.ledger.check()
        outcomes.append((chunks, report.to_json(), progress))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.usefixtures("spawnable")
def test_workers_write_the_whole_log_in_order() -> None:
    logs = []
    for workers in (1, 2):
        log = io.StringIO()
        list(encode_chunks(numbers(CHUNK + 9), ids, Report(log=log), workers=workers))
        logs.append(log.getvalue())
    assert logs[0] == logs[1]
    assert logs[0].count("\n") == CHUNK + 9


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("spawnable")
def test_an_error_comes_through_whole(workers: int) -> None:
    with pytest.raises(SchemaError) as caught:
        list(encode_chunks(numbers(3 * CHUNK), fails_in_the_middle, Report(), workers=workers))
    assert caught.value.where == Where(file="f", path="$.x", item=str(CHUNK + 5))
    assert caught.value.hint == "mend it"


def test_workers_are_chosen_where_they_pay() -> None:
    assert parallel.hands(None, 1) == parallel.hands(None, None) == 1
    assert 1 <= parallel.hands(None, parallel.MANY_ITEMS) <= parallel.MOST_WORKERS
    assert parallel.hands(3, 1) == 3


ALONE = """
import io, sys, threading
sys.path.insert(0, sys.argv[1])
from nucleus_convert.converters import crew, parallel
from nucleus_convert.converters.report import Report

if __name__ == "__main__":
    alone = parallel.start_method()
    from tests.test_parallel import ids, numbers  # numpy comes with it, and threads with numpy

    event = threading.Event()
    threading.Thread(target=event.wait).start()
    beside = parallel.start_method()
    event.set()
    outcomes = []
    for method in ("fork", "spawn"):
        parallel.start_method = lambda: method
        log = io.StringIO()
        report = Report(log=log)
        chunks = list(parallel.encode_chunks(numbers(2 * parallel.CHUNK + 9), ids, report, workers=2))
        outcomes.append((chunks, report.to_json(), log.getvalue()))
    print(alone, beside, outcomes[0] == outcomes[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux only")
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python does not fork by default any more")
def test_a_process_without_threads_forks_its_workers(tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text(ALONE)
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "error", tmp_path / "alone.py", root], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["fork", "spawn", "True"]


def test_where_forking_is_not_the_way_workers_are_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: "forkserver")
    assert parallel.start_method() == "spawn"


def test_an_unknown_size_is_done_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_pooled", None)
    chunks = list(encode_chunks(numbers(CHUNK + 1, sized=False), ids, Report(), workers=4))
    assert sum(map(len, chunks)) == CHUNK + 1


def test_the_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    assert list(encode_chunks(numbers(5), collects, Report())) == [False]
    assert gc.isenabled()
    gc.disable()
    try:
        list(encode_chunks(numbers(5), collects, Report()))
        assert not gc.isenabled()
    finally:
        gc.enable()


# ---------------------------------------------------------------------- processes


def odd(start: int) -> object:
    """A task that fails in different ways."""
    if start == 3:
        raise EOFError("in the task, not in the pipe")
    if start == 4:
        return lambda: None  # which cannot be sent
    if start == 5:
        raise UnsendableError
    return os.getpid(), start


class UnsendableError(Exception):
    """An error that cannot be sent."""

    def __reduce__(self) -> str:
        raise TypeError("not me")


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.parametrize(
    ("tasks", "error", "said"),
    [
        ([0, 1, 3, 6], EOFError, "in the task"),
        ([0, 4, 6], (AttributeError, pickle.PicklingError), "pickle"),
        ([0, 5, 6], RuntimeError, "UnsendableError"),
    ],
)
@pytest.mark.usefixtures("spawnable")
def test_what_goes_wrong_in_a_worker_is_raised_here_with_its_place(
    method: str, tasks: list[int], error: type[Exception], said: str
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("no such way of starting processes on this system")
    done: list[int] = []

    def work() -> None:
        for _, start in crew.work(tasks, odd, method, 2):
            done.append(start)

    with pytest.raises(error, match=said) as caught:
        work()
    assert done == [start for start in tasks if start < 3]
    assert "in odd" in str(caught.value.__cause__) or said == "pickle"
    assert not multiprocessing.active_children()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux only")
def test_results_wait_for_their_turn_and_workers_end_with_the_last() -> None:
    results = list(crew.work(range(6, 60), odd, "fork", 3))
    assert [start for _, start in results] == list(range(6, 60))
    assert 1 < len({worker for worker, _ in results}) <= 3
    assert not multiprocessing.active_children()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux only")
def test_workers_end_when_nobody_wants_more() -> None:
    results = crew.work(range(6, 60), odd, "fork", 2)
    next(results)
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert not multiprocessing.active_children()


ORPHANS = r"""
import os, sys, time
from nucleus_convert.converters import crew

def task(start):
    os.write(1, b"%d\n" % os.getpid())
    return start

if __name__ == "__main__":
    results = crew.work(range(100), task, "fork", 2)
    next(results)
    time.sleep(0.2)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux only")
def test_workers_do_not_outlive_one_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "orphans.py").write_text(ORPHANS)
    done = subprocess.run([sys.executable, tmp_path / "orphans.py"], capture_output=True, text=True, check=False)
    workers = set(map(int, done.stdout.split()))
    assert done.returncode == -9
    assert len(workers) == 2
    assert done.stderr == ""  # communicate() came back: the workers have closed their ends of it
    assert not any(Path(f"/proc/{worker}/exe").exists() for worker in workers)

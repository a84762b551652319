"""Worker processes that do tasks for this one, results in the order of the tasks.

A worker is asked through a pipe of its own, two tasks at a time so that it never waits for the next. No threads: a
pool of :mod:`concurrent.futures` takes three, and with a data set of small files as long for its own sake as a tenth
of the work.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, TypeAlias, TypeVar

from nucleus_convert.converters import signals
from nucleus_convert.converters.parallel import WorkerDiedError

T = TypeVar("T")
Pipe: TypeAlias = "connection.Connection[Any, Any]"

_AHEAD = 2
"""Tasks that a worker has been asked to do at a time: one to be doing, one to go on with."""
_HELD = 3
"""Tasks for each worker that are begun and their results not yet taken: so much is held at the most."""


class _RemoteError(Exception):
    """Where in a worker an error was raised, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Worker(NamedTuple):
    process: BaseProcess
    pipe: Pipe


def work(tasks: Sequence[T], task: Callable[[T], Any], method: str, workers: int) -> Iterator[Any]:
    """Yield ``task(one)`` for each of ``tasks``, in order, made by so many processes.

    Args:
        tasks: small and picklable.
        task: what to do with each; it is pickled, and so is what it returns.
        method: how processes are started: "fork" or "spawn".
        workers: how many, at least one.

    Raises:
        WorkerDiedError: a process ended before it had done its work.
    """
    pickled = pickle.dumps(task)
    crew: list[_Worker] = []
    try:
        for _ in range(min(workers, len(tasks))):
            crew.append(_started(method, pickled, [worker.pipe for worker in crew]))
        yield from _results(tasks, [worker.pipe for worker in crew])
    finally:
        for worker in crew:
            worker.pipe.close()
        for worker in crew:
            worker.process.terminate()  # one that is busy yet, because something went wrong
            worker.process.join()


def _started(method: str, pickled: bytes, others: list[Pipe]) -> _Worker:
    context: Any = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    with signals.undisturbed():
        # A forked worker has a copy of every pipe; if it kept them, nobody would see that this end is closed.
        inherited = [*others, ours] if method == "fork" else []
        process = context.Process(target=_serve, args=(theirs, pickled, inherited), daemon=True)
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _results(tasks: Sequence[T], pipes: list[Pipe]) -> Iterator[Any]:
    asked: dict[Pipe, list[int]] = {pipe: [] for pipe in pipes}
    done: dict[int, Any] = {}
    most = _HELD * len(pipes)
    begun = 0
    for wanted in range(len(tasks)):
        while True:
            # Whoever has less to do is asked first.
            for pipe in sorted(pipes, key=lambda pipe: len(asked[pipe])):
                while len(asked[pipe]) < _AHEAD and begun < min(len(tasks), wanted + most):
                    _ask(pipe, tasks[begun])
                    asked[pipe].append(begun)
                    begun += 1
            if wanted in done:
                break
            ready: Any = connection.wait([pipe for pipe in pipes if asked[pipe]])
            for pipe in ready:
                done[asked[pipe].pop(0)] = _answer(pipe)
        result, error, told = done.pop(wanted)
        if error is not None:  # raised in its turn: the first error is the same with any number of workers
            raise error from _RemoteError(told)
        yield result


def _ask(pipe: Pipe, one: Any) -> None:
    try:
        pipe.send(one)
    except OSError as error:
        raise WorkerDiedError from error


def _answer(pipe: Any) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError) as error:
        raise WorkerDiedError from error


def _serve(pipe: Pipe, pickled: bytes, inherited: list[Pipe]) -> None:
    """What a worker does, until nobody is at the other end of its pipe."""
    signals.leave_to_parent()
    for other in inherited:
        other.close()
    task = pickle.loads(pickled)
    gc.freeze()  # what is here stays: looking through it would also copy a forked worker's share of memory
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(_done(task, pipe.recv()))


def _done(task: Callable[[Any], Any], one: Any) -> bytes:
    """What a task gives, or the error that it raises and where, pickled."""
    try:
        return pickle.dumps((task(one), None, ""), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        told = traceback.format_exc()
        try:
            return pickle.dumps((None, error, told))
        except Exception:
            return pickle.dumps((None, RuntimeError(repr(error)), told))

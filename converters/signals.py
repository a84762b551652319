"""Ctrl-C and SIGTERM: how they end a run, and the few milliseconds in which they must wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM: unwinds everything, so that nothing half-written stays.

    Attributes:
        code: the exit code that a shell gives for the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class Stop:
    """A signal handler that raises :class:`Stopped` and remembers that it did; see :func:`check`."""

    def __init__(self) -> None:
        self.came: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:
        """Unwind."""
        self.came = number
        raise Stopped(number)


def check() -> None:
    """Raise again what was raised once and got lost.

    Handlers run between any two instructions, so also deep in a library that swallows whatever is raised there:
    compiled modules do while they are imported. To be called now and then, and before anything becomes final.

    Raises:
        Stopped: a signal came while a :class:`Stop` was its handler, and the run still goes on.
    """
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if isinstance(handler, Stop) and handler.came is not None:
            raise Stopped(handler.came)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the end.

    For steps that must happen whole: making a temporary folder and remembering it, moving several files into
    place, starting a worker and telling it what to do (which is born with both signals blocked).
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in the main thread only
        return
    came: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(number)

    handlers = {number: signal.signal(number, remember) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def leave_to_parent() -> None:
    """For a worker: Ctrl-C goes to every process of the terminal, but only the parent deals with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked worker has its parent's handler
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # blocked since birth, see above

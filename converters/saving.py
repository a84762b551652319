"""Many small files, written while the next ones are being made.

``_saving.c`` writes any number of them in one call, for which a thread need not hold the interpreter; a thread that
runs Python would cost the others more than it saves. Where it was not built, files are written one by one, at once.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeAlias

Save: TypeAlias = Callable[[str, bytes], None]
"""Writes a file: its path, and all its bytes."""

MOST_FILES: Final = 64
"""So many files are handed on together."""
MOST_BYTES: Final = 1 << 22
"""Or files of so many bytes: at most twice that many wait."""


def save(files: Sequence[tuple[bytes, bytes]]) -> None:
    """Write files one after the other, over what is there.

    Args:
        files: of each the path, as the system has it, and all its bytes.

    Raises:
        OSError: a file cannot be written; those before it are.
    """
    for path, data in files:
        with open(os.fsdecode(path), "wb", buffering=0) as file:  # noqa: PTH123 - pathlib takes longer than all the rest
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]


def _compiled() -> Any:
    try:
        return getattr(importlib.import_module("nucleus_convert.converters._saving"), "save", None)  # not on Windows
    except ImportError:
        return None


plain_save = save
if (quick := _compiled()) is not None:
    save = quick


def save_now(path: str, data: bytes) -> None:
    """Write one file, and wait until that is done.

    Raises:
        OSError: it cannot be written.
    """
    save([(os.fsencode(path), data)])


class Behind:
    """Writes files in a thread of its own; what goes wrong is raised by a later call, at the latest at the end.

    To be used as a context: at its end all is written, or, if something else went wrong, nothing more will be. There is
    no thread before the first files are handed on, and none after the end.
    """

    def __init__(self) -> None:
        self._files: list[tuple[bytes, bytes]] = []
        self._size = 0
        self._thread: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._hand_on()
                self._wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown()  # what has been begun ends first

    def add(self, path: str, data: bytes) -> None:
        """Write a file, now or soon.

        Raises:
            OSError: it cannot be written, or one before it could not.
        """
        if quick is None:
            save_now(path, data)
            return
        self._files.append((os.fsencode(path), data))
        self._size += len(data)
        if len(self._files) >= MOST_FILES or self._size >= MOST_BYTES:
            self._hand_on()

    def _hand_on(self) -> None:
        self._wait()
        files, self._files, self._size = self._files, [], 0
        if files:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "saving")
            self._last = self._thread.submit(save, files)

    def _wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

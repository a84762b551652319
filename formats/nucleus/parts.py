"""JSON Lines in numbered parts, each small enough for one upload."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from nucleus_convert.converters.errors import UnrepresentableError, Where


class _Behind:
    """A file that is written while the next lines are being made: the system takes as long to take them as we do.

    What goes wrong is raised by the next call.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=0)
        self._thread = ThreadPoolExecutor(1, "writing")
        self._last: Future[None] | None = None

    def write(self, data: bytes) -> None:
        self._wait()
        self._last = self._thread.submit(self._all, data)

    def _all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def _wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        try:
            self._wait()
        finally:
            self._thread.shutdown()
            self._file.close()


class PartWriter:
    """Writes whole lines to ``<stem>.jsonl``; past ``limit`` bytes to ``<stem>-00000.jsonl``, ``-00001``, ...

    Nothing is made before the first write; ``close`` makes an empty file if ``always``.
    """

    def __init__(self, folder: Path, stem: str, limit: int) -> None:
        self.folder = folder
        self.stem = stem
        self.limit = limit
        self.paths: list[Path] = []
        self.written = 0
        self._file: _Behind | None = None
        self._room = 0

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, lines: bytes) -> None:
        """Write lines, each ending in a newline."""
        self.written += len(lines)
        if len(lines) <= self._room:
            if lines:
                assert self._file is not None
                self._file.write(lines)
                self._room -= len(lines)
            return
        start = 0
        while start < len(lines):
            if len(lines) - start <= self._room:
                stop = len(lines)
            else:
                stop = lines.rfind(b"\n", start, start + self._room) + 1
            if stop <= start:
                self._check_line(lines, start)
                self._next()
                continue
            assert self._file is not None
            self._file.write(lines[start:stop])
            self._room -= stop - start
            start = stop

    def _check_line(self, lines: bytes, start: int) -> None:
        length = lines.index(b"\n", start) + 1 - start
        if length > self.limit:
            shown = lines[start : start + 120].decode("utf-8", "replace")
            raise UnrepresentableError(
                f"one payload takes {length:,} bytes, more than a part may have ({self.limit:,}): {shown}...",
                Where(file=f"{self.stem}.jsonl"),
                hint="raise --part-bytes, or simplify the shape",
            )

    def _next(self) -> None:
        if self._file is not None:
            self._file.close()
        if len(self.paths) == 1:
            first = self.folder / f"{self.stem}-00000.jsonl"
            self.paths[0].replace(first)
            self.paths[0] = first
        number = len(self.paths)
        path = self.folder / (f"{self.stem}-{number:05}.jsonl" if number else f"{self.stem}.jsonl")
        self.paths.append(path)
        self._file = _Behind(path)
        self._room = self.limit

    def close(self, *, always: bool = False) -> list[Path]:
        """Close and return the files written."""
        if always and not self.paths:
            self._next()
        if self._file is not None:
            self._file.close()
            self._file = None
        return self.paths


def cut(paths: list[Path], start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop`` of the parts taken together."""
    found: list[bytes] = []
    for path in paths:
        size = path.stat().st_size
        if start < size and stop > 0:
            with path.open("rb") as file:
                file.seek(max(0, start))
                found.append(file.read(min(size, stop) - max(0, start)))
        start, stop = start - size, stop - size
    return b"".join(found)


def rewrite(paths: list[Path], limit: int, stem: str, change: Callable[[bytes], bytes]) -> list[Path]:
    """Write the parts again, each line as ``change`` makes it (both with the newline)."""
    if not paths:
        return paths
    folder = paths[0].parent
    with PartWriter(folder, f".{stem}.new", limit) as writer:
        for path in paths:
            with path.open("rb") as file:
                for line in file:
                    writer.write(change(line))
            path.unlink()
    made = []
    for path in writer.close(always=True):
        final = folder / path.name.replace(f".{stem}.new", stem, 1)
        path.replace(final)
        made.append(final)
    return made

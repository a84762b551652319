"""Large JSON Lines, block by block: where the lines that hold something begin and end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.errors import ReadError, SchemaError, Where
from nucleus_convert.formats import jsonstream
from nucleus_convert.formats.jsonfault import check_text
from nucleus_convert.formats.jsonstream import P, Rows


def scan_lines(path: Path, probe: msgspec.json.Decoder[P]) -> Iterator[Rows[P]]:
    """The lines of a JSON Lines file, block by block; blank lines are passed over.

    A line that is not JSON, or not what the probe wants, has its error among ``probes``.

    Raises:
        ReadError: the file cannot be opened.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=str(path))) from error
    with file:
        rest, base, line = b"", 0, 1
        while True:
            data = file.read(jsonstream.BLOCK)
            block = rest + data
            cut = block.rfind(b"\n") + 1 if data else len(block)
            if cut == 0:
                if not data:
                    return
                rest = block
                if len(rest) > jsonstream.LARGEST_VALUE:
                    raise SchemaError(
                        f"line {line} is longer than {jsonstream.LARGEST_VALUE >> 20} MiB",
                        Where(file=str(path), line=line),
                    )
                continue
            rest = block[cut:]
            yield _lines(block[:cut], base, line, probe)
            base += cut
            line += block.count(b"\n", 0, cut)
            if not data:
                return


def _lines(data: bytes, base: int, line: int, probe: msgspec.json.Decoder[P]) -> Rows[P]:
    starts: list[int] = []
    ends: list[int] = []
    numbers: list[int] = []
    position = 3 if base == 0 and data.startswith(b"\xef\xbb\xbf") else 0
    tidy = True
    for number, text in enumerate(data[position:].split(b"\n"), line):
        row = text.strip(b" \t\r")
        if row:
            start = position + text.find(row[:1])
            starts.append(start)
            ends.append(start + len(row))
            numbers.append(number)
            tidy = tidy and row[0] == 0x7B and row[-1] == 0x7D
        position += len(text) + 1
    probes: Sequence[P | Exception] = ()
    # Decoding them together is quicker, but takes values that go over lines, and several in a line. Neither
    # can be where every line begins and ends as an object does and there are as many values as lines.
    if tidy and starts:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            check_text(data)
            probes = probe.decode_lines(data[starts[0] :])
    if len(probes) != len(starts):
        probes = [_probe_line(data[start:end], probe) for start, end in zip(starts, ends, strict=True)]
    return Rows(data=data, base=base, first=line, starts=starts, ends=ends, probes=probes, numbers=numbers)


def _probe_line(text: bytes, probe: msgspec.json.Decoder[Any]) -> Any:
    try:
        check_text(text)
        return probe.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return error.with_traceback(None)  # which would hold the whole block, in a circle

"""Records of a stretch of items that were made while files were looked through, encoded until their turn comes."""

from __future__ import annotations

import functools
import pickle

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.model import Record
from nucleus_convert.converters.report import Report


class Kept(msgspec.Struct, frozen=True):
    """The records of so many items, and the report of reading them, pickled (empty: nothing to say)."""

    count: int
    encoded: bytes
    report: bytes

    def records(self, report: Report) -> list[Record]:
        """The records, as reading them again would give them."""
        if self.report:
            report.merge(pickle.loads(self.report))
        return _decoder().decode(self.encoded)


def keep(records: list[Record], count: int, report: Report) -> Kept | None:
    """What keeps the records of ``count`` items; None where reading them again is the only way.

    That is where something could not be read, a number is beyond 64 bits, or a text beyond Unicode.
    """
    if any(code is Code.REJECTED for code, _, _ in report.findings):
        return None
    try:
        encoded = msgspec.msgpack.encode(records)
    except (OverflowError, UnicodeEncodeError):
        return None
    return Kept(count, encoded, pickle.dumps(report) if report.findings else b"")


@functools.cache
def _decoder() -> msgspec.msgpack.Decoder[list[Record]]:
    return msgspec.msgpack.Decoder(list[Record])

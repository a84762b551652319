"""Words and lines for people at a terminal. What comes out of a data set may hold anything."""

from __future__ import annotations

import re
import textwrap

NARROW = 40
"""Columns below which lines are left as they are."""
_COLUMNS = re.compile(r"(?: {2,}|^)(?:[~+-] )?")


def plural(count: int, noun: str) -> str:
    """A count and its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(text: str) -> str:
    """Text with what would move a terminal's cursor, or turn its writing round, written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def folded(line: str, width: int) -> list[str]:
    """A line as lines of at most ``width`` columns, as far as its words allow.

    What is set in columns, with two spaces or more between them, goes on below the last column that begins in the
    left half; names of files are not broken, so that they can be copied.
    """
    if len(line) <= width or width < NARROW:
        return [line]
    start = max(found.end() for found in _COLUMNS.finditer(line, 0, width // 2))
    head = line[:start]
    below = " " * (start or 2)
    return textwrap.wrap(
        line[start:],
        width,
        initial_indent=head,
        subsequent_indent=below,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    ) or [line]

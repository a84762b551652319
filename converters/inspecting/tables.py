"""A sheet on a terminal: rich tables with small bars."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nucleus_convert.converters.inspecting.sheet import Bar, Cell, Flag, Section
from nucleus_convert.converters.wording import printable

BAR = 14
"""Characters of the longest bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉"
_COLOURS = {"ERROR": "red", "WARNING": "yellow", "NOTE": "cyan"}


def show_facts(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(plain(name), plain(value))
    console.print(table)


def show(console: Console, section: Section) -> None:
    """Print a table."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in section.columns:
        right = name.startswith(">")
        table.add_column(
            plain(name.removeprefix(">")), justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    for row in section.rows:
        table.add_row(*(_cell(cell, console) for cell in row))
    console.print()
    title = Text()
    title.append(section.title, style="bold")
    if section.note:
        title.append(f"  {section.note}", style="dim")
    console.print(title)
    console.print(table)
    if section.hidden:
        console.print(Text(f"... and {section.hidden:,} more (--limit 0 shows all)", style="dim"))


def _cell(cell: Cell, console: Console) -> Text:
    if isinstance(cell, Bar):
        return Text(bar(cell.share, blocks="utf" in console.encoding.lower()), style="green", no_wrap=True)
    if isinstance(cell, Flag):
        return Text(cell.level.lower(), style=_COLOURS[cell.level])
    return plain(f"{cell:,}" if isinstance(cell, int) else cell)


def bar(share: float, *, blocks: bool = True) -> str:
    """A bar of that share of the width; something where there is anything."""
    if share <= 0:
        return ""
    if not blocks:
        return "#" * max(1, round(share * BAR))
    eighths = max(1, round(share * BAR * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def plain(text: str) -> Text:
    """Text of a data set, which may hold anything: without control characters, never taken for markup."""
    return Text(printable(text))

"""A sheet as one page of HTML that needs nothing else: no script, no font, no picture; everything escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from nucleus_convert.converters.inspecting.sheet import Bar, Cell, Flag, Section
from nucleus_convert.converters.wording import printable

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1b2733; --dim: #64748b; --line: #e2e8f0; --paper: #fff; --bar: #2f9e6e;
  --error: #c92a2a; --warning: #b7791f; --note: #2b6cb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e2e8f0; --dim: #94a3b8; --line: #2d3a4a; --paper: #131a22;
  --bar: #40c28d; --error: #ff8787; --warning: #f6c453; --note: #74b3f0; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 66rem; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2.2rem 0 .4rem; }
h2 small, .dim { color: var(--dim); font-weight: normal; }
table { border-collapse: collapse; min-width: min(100%, 26rem); }
th { text-align: left; color: var(--dim); font-weight: normal; border-bottom: 1px solid var(--line); }
th, td { padding: .22rem .9rem .22rem 0; vertical-align: top; overflow-wrap: anywhere; }
td { border-bottom: 1px solid var(--line); }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.b { width: 11rem; min-width: 7rem; vertical-align: middle; }
.b div { height: .7rem; border-radius: 2px; background: var(--bar); min-width: 1px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.4rem; margin: 1.2rem 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.error { color: var(--error); } .warning { color: var(--warning); } .note { color: var(--note); }
details { margin: .6rem 0; color: var(--dim); }
"""


def page(
    title: str, kind: str, why: Iterable[tuple[str, str]], facts: Iterable[tuple[str, str]], sections: Iterable[Section]
) -> str:
    """The page.

    Args:
        title: the data set's name.
        kind: its format.
        why: (format, reason) of each format that it is not of.
        facts: names and values.
        sections: the tables.
    """
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>",
        f'<h1>{_text(title)}</h1><div class="dim">{_text(kind)}</div>',
    ]
    reasons = list(why)
    if reasons:
        parts.append("<details><summary>why it is taken for that</summary><ul>")
        parts += [f"<li>not {_text(name)}: {_text(reason)}</li>" for name, reason in reasons]
        parts.append("</ul></details>")
    parts.append("<dl>")
    parts += [f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts]
    parts.append("</dl>\n")
    for section in sections:
        parts.append(_section(section))
    parts.append("</body></html>\n")
    return "".join(parts)


def _section(section: Section) -> str:
    note = f" <small>{_text(section.note)}</small>" if section.note else ""
    head = "".join(
        f'<th class="n">{_text(name[1:])}</th>' if name.startswith(">") else f"<th>{_text(name)}</th>"
        for name in section.columns
    )
    rows = "".join(
        f"<tr>{''.join(_cell(cell, name) for cell, name in zip(row, section.columns, strict=True))}</tr>\n"
        for row in section.rows
    )
    hidden = f'<p class="dim">and {section.hidden:,} more</p>' if section.hidden else ""
    return f"<h2>{_text(section.title)}{note}</h2><table><tr>{head}</tr>\n{rows}</table>{hidden}\n"


def _cell(cell: Cell, column: str) -> str:
    if isinstance(cell, Bar):
        inner = f'<div style="width:{min(max(cell.share, 0), 1):.2%}"></div>' if cell.share > 0 else ""
        return f'<td class="b">{inner}</td>'
    if isinstance(cell, Flag):
        return f'<td class="{cell.level.lower()}">{cell.level.lower()}</td>'
    text = f"{cell:,}" if isinstance(cell, int) else cell
    return f'<td class="n">{_text(text)}</td>' if column.startswith(">") else f"<td>{_text(text)}</td>"


def _text(text: str) -> str:
    """Text of a data set, which may hold anything."""
    return escape(printable(text), quote=True)

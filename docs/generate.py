"""Writes docs/findings.md from the catalogue: ``python docs/generate.py``."""

from __future__ import annotations

from pathlib import Path

from nucleus_convert.converters.codes import CATALOGUE

HERE = Path(__file__).resolve().parent

HEAD = """\
# Findings

Every finding of the report has one of these codes. **INFO** is an assumption, or something that travels along
and comes back. **WARNING**: the input was mended, or the target shows less than the source said although the
original travels along. **LOSS**: something the source had is not in the output; `--fail-on loss` refuses it.

`{what}` stands for the thing, `{format}` for the format. This page is made by `python docs/generate.py`.

| Code | Severity | Text | What to do |
|---|---|---|---|
"""


def findings() -> str:
    """The page of findings."""
    rows = [f"| `{c}` | {e.severity.name} | {e.text} | {e.advice} |" for c, e in CATALOGUE.items()]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    (HERE / "findings.md").write_text(findings(), encoding="utf-8")

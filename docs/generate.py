"""Writes docs/findings.md and docs/problems.md from the catalogues: ``python docs/generate.py``."""

from __future__ import annotations

from pathlib import Path

from nucleus_convert.converters.checking.catalogue import RULES
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


PROBLEMS = """\
# Problems

What `convert check` can say. **ERROR**: it is wrong, or an upload to Nucleus fails. **WARNING**: most likely wrong,
or it misleads. **NOTE**: worth knowing. What a reader finds while reading is listed beside these, under the codes of
[findings](findings.md): their warnings and losses as warnings, the others as notes.

`{what}` stands for the thing. This page is made by `python docs/generate.py`.
"""


def problems() -> str:
    """The page of problems."""
    text = PROBLEMS
    for family in dict.fromkeys(rule.family for rule in RULES.values()):
        text += f"\n## {family[0].upper()}{family[1:]}\n\n| Code | Level | Text | What to do |\n|---|---|---|---|\n"
        for code, rule in RULES.items():
            if rule.family == family:
                text += f"| `{code}` | {rule.level.name} | {rule.text} | {rule.advice} |\n"
    return text


if __name__ == "__main__":
    (HERE / "findings.md").write_text(findings(), encoding="utf-8")
    (HERE / "problems.md").write_text(problems(), encoding="utf-8")

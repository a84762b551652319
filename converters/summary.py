"""The report as a person reads it in five seconds: what went where, what was given up, where to look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nucleus_convert.converters.codes import CATALOGUE, Code, Severity
from nucleus_convert.converters.report import Finding, Report
from nucleus_convert.converters.wording import plural

SHOWN = 12
"""Warnings and losses printed; the report has them all."""


class Text(NamedTuple):
    """A line, and the severity that colours it (None: plain)."""

    text: str
    severity: Severity | None = None


def lines(
    report: Report,
    target: str | None,
    *,
    verbose: bool = False,
    where: str | None = None,
    rejected: str | None = None,
) -> Iterator[Text]:
    """The lines to print.

    Args:
        report: of the run.
        target: what was written, as the user calls it; None: nothing was (a dry run).
        verbose: every finding with its examples and advice, not the gravest only.
        where: the report's file, if there is one.
        rejected: the file of rejected records, if there is one.
    """
    findings = report.sorted()
    detected = [finding for finding in findings if finding.code is Code.DETECTED]
    for finding in detected:  # short, and whoever did not name the format wants to know
        findings.remove(finding)
        yield Text(finding.text)
    yield Text(_balance(report, target))
    grave = [finding for finding in findings if finding.severity > Severity.INFO]
    shown = findings if verbose else grave[:SHOWN]
    for finding in shown:
        yield from _finding(finding, verbose)
    if len(grave) > len(shown):
        yield Text(f"... and {plural(len(grave) - len(shown), 'more kind')} of finding")
    if rejected:
        yield Text(f"rejected records: {rejected}")
    notes = 0 if verbose else len(findings) - len(grave)
    if notes:
        look = f"see {where}" if where else "-v shows them"
        yield Text(f"{plural(notes, 'note')}; {look}")
    elif where:
        yield Text(f"report: {where}")


def _balance(report: Report, target: str | None) -> str:
    balance = report.ledger.balance()
    item, thing = balance["item"], balance["object"]
    text = f"{plural(item['read'], 'item')}, {plural(thing['read'], 'object')} read -> "
    text += f"{plural(item['written'], 'item')}, {plural(thing['written'], 'object')}"
    text += " would be written" if target is None else f" written to {target}"
    rest = [
        f"{plural(counts[name], kind)} {name}"
        for name in ("carried", "dropped", "skipped")
        for kind, counts in (("item", item), ("object", thing))
        if counts[name]
    ]
    if payloads := report.outputs.get("payloads"):
        rest.insert(0, plural(payloads, "payload"))
    return f"{text} ({', '.join(rest)})" if rest else text


def _finding(finding: Finding, verbose: bool) -> Iterator[Text]:
    text = f"{finding.severity.name:<7} {finding.text}"
    if finding.count > 1:
        text += f" [{finding.count:,} times]"
    examples = finding.examples if verbose else finding.examples[:1]
    if examples and str(examples[0]) and not verbose:
        text += f", e.g. {examples[0]}" if finding.count > 1 else f": {examples[0]}"
    yield Text(text, finding.severity)
    if verbose:
        for where in examples:
            yield Text(f"          at {where}")
        yield Text(f"          {CATALOGUE[finding.code].advice}")

"""The loss report: findings counted by kind, and the ledger whose balance must close.

*Read = written + carried + dropped + skipped*, for items, objects and every kind of shape. The report aggregates:
a data set can lose the same field a million times, so findings are counted by (code, format, what) and the first
five examples kept. Everything is recorded whatever is printed; printing is the command line's business.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import msgspec

from nucleus_convert.converters.boxes import Boxes
from nucleus_convert.converters.codes import CATALOGUE, Code, Severity
from nucleus_convert.converters.errors import ConvertError, InternalError, Where
from nucleus_convert.converters.model import Box, Polygon
from nucleus_convert.converters.outline import Outlines
from nucleus_convert.converters.sketch import Common, Sketches

if TYPE_CHECKING:
    from nucleus_convert.converters.model import Annotation, Item, Record

EXAMPLES = 5
_MANY_SKETCHES = 4096
_OUTLINED: tuple[type[Any], ...] = (Box, Polygon)
_BOXED: tuple[type[Any], ...] = (Box,)
OnError: TypeAlias = Literal["fail", "skip", "quarantine"]
Outcome: TypeAlias = Literal["written", "carried", "dropped", "skipped"]
OUTCOMES: tuple[Outcome, ...] = ("written", "carried", "dropped", "skipped")
Fate: TypeAlias = tuple[tuple[str, Outcome], ...]
"""What became of one annotation: (kind, outcome) of the object and of each of its shapes."""


class Finding(msgspec.Struct):
    """One kind of finding: how often, the first examples, and the worst measure where there is one."""

    code: Code
    format: str
    what: str
    count: int = 0
    examples: list[Where] = msgspec.field(default_factory=list)
    measure: str | None = None
    worst: float | None = None

    @property
    def severity(self) -> Severity:
        """The severity of the finding's code."""
        return CATALOGUE[self.code].severity

    @property
    def text(self) -> str:
        """One line for a person."""
        text = CATALOGUE[self.code].text.replace("{format}", self.format).replace("{what}", self.what)
        if self.worst is not None:
            text += f" (worst {self.measure}: {self.worst:.4g})"
        return text


class Sink(Protocol):
    """Where text goes: an open file, or what stands in for one."""

    def write(self, text: str, /) -> int:
        """Take a text."""
        ...


class Rejected(msgspec.Struct):
    """A record that was not read, verbatim, with the reason."""

    reason: str
    where: Where
    record: Any
    hint: str | None = None


class Ledger:
    """Counts what was read and what became of it, by kind: "item", "object", and the kinds of shapes."""

    def __init__(self) -> None:
        self._items = 0
        self._read: Counter[tuple[type[Any], ...]] = Counter()
        self._sketched: list[Common] = []
        """What sketches had in common that are not in ``_read`` yet: counted many at once."""
        self._more: Counter[str] = Counter()
        self._fates: Counter[Fate] = Counter()
        self._items_out: Counter[Outcome] = Counter()

    def read(self, record: Record) -> None:
        """Count a record as read."""
        self._items += 1
        counts = self._read
        annotations = record.annotations
        if len(annotations) == 1:
            (only,) = annotations
            if type(only) is Sketches:
                self._sketched += only.commons
                if len(self._sketched) > _MANY_SKETCHES:
                    self._count_sketches()
                return
            if type(only) is Boxes:
                counts[_BOXED] += len(only.kinds)
                return
        for annotation in annotations:
            if type(annotation) is Outlines:
                counts[_OUTLINED] += len(annotation.ids)
            elif type(annotation) is Sketches:
                self._sketched += annotation.commons
            else:
                counts[tuple(map(type, annotation.shapes))] += 1

    def _count_sketches(self) -> None:
        for common, count in Counter(self._sketched).items():
            self._read[common.kinds] += count
        self._sketched.clear()

    def __getstate__(self) -> dict[str, Any]:
        self._count_sketches()
        return self.__dict__

    def read_more(self, kind: str, count: int = 1) -> None:
        """Count something read that is not part of a record: a rejected object, something a caller added."""
        self._more[kind] += count

    def item(self, outcome: Outcome, count: int = 1) -> None:
        """Say what became of an item."""
        self._items_out[outcome] += count

    def fate(self, fate: Fate, count: int = 1) -> None:
        """Say what became of an annotation and its shapes, or of some of its shapes."""
        self._fates[fate] += count

    def drop_record(self, record: Record) -> None:
        """An item and all its annotations are left out."""
        self.item("dropped")
        for annotation in record.annotations:
            self.drop_annotation(annotation.shapes)

    def drop_annotation(self, shapes: Iterable[Any]) -> None:
        """An annotation is left out, with its shapes."""
        self.fate((("object", "dropped"), *((_kind(type(shape)), "dropped") for shape in shapes)))

    def drop_difference(self, before: Record, after: Record) -> dict[str, int]:
        """Account for a record that a caller's function changed: what is gone is dropped, what is new is read.

        Returns:
            How many of each kind are gone.
        """
        if before is after or before.annotations is after.annotations:
            return {}
        difference = _count_kinds(before)
        difference.subtract(_count_kinds(after))
        for kind, count in difference.items():
            if count > 0:
                self.fate(((kind, "dropped"),), count)
            elif count < 0:
                self.read_more(kind, -count)
        return {kind: count for kind, count in difference.items() if count > 0}

    def merge(self, other: Ledger) -> None:
        """Add another ledger's counts."""
        other._count_sketches()
        self._items += other._items
        self._read.update(other._read)
        self._more.update(other._more)
        self._fates.update(other._fates)
        self._items_out.update(other._items_out)

    def balance(self) -> dict[str, dict[str, int]]:
        """For each kind: how many were read, and how many of those were written, carried, dropped, skipped."""
        self._count_sketches()
        read: Counter[str] = Counter(self._more)
        read["item"] += self._items
        for types, count in self._read.items():
            read["object"] += count
            for shape in types:
                read[_kind(shape)] += count
        out: dict[str, Counter[str]] = {"item": Counter({str(k): v for k, v in self._items_out.items()})}
        for fate, count in self._fates.items():
            for kind, outcome in fate:
                out.setdefault(kind, Counter())[outcome] += count
        kinds = ["item", "object", *sorted((set(read) | set(out)) - {"item", "object"})]
        return {
            kind: {"read": read[kind], **{name: out.get(kind, Counter())[name] for name in OUTCOMES}}
            for kind in kinds
            if read[kind] or any(out.get(kind, Counter()).values()) or kind in ("item", "object")
        }

    def check(self) -> None:
        """Raise InternalError unless read = written + carried + dropped + skipped for every kind."""
        for kind, counts in self.balance().items():
            accounted = sum(counts[name] for name in OUTCOMES)
            if counts["read"] != accounted:
                raise InternalError(
                    f"the balance does not close: {counts['read']} of kind '{kind}' read, {accounted} accounted for "
                    f"({', '.join(f'{name} {counts[name]}' for name in OUTCOMES)})",
                    hint="this is a bug in nucleus-convert; please report it with the source file",
                )


def _kind(shape: type[Any]) -> str:
    return str(shape.__struct_config__.tag)


def _count_kinds(record: Record) -> Counter[str]:
    counts: Counter[str] = Counter()
    for annotation in record.annotations:
        counts["object"] += 1
        counts.update(_kind(type(shape)) for shape in annotation.shapes)
    return counts


class Report:
    """Findings and the ledger of one run, and the policy on bad records.

    Args:
        on_error: what a bad record does: "fail" raises its error, "skip" counts it, "quarantine" also keeps it.
        log: a text file that gets every finding as a line of JSON as it is made.
        rejects: a text file that gets every rejected record as a line of JSON; without one they are held.
    """

    def __init__(
        self, on_error: OnError = "fail", *, log: Sink | None = None, rejects: Sink | None = None
    ) -> None:
        self.on_error: OnError = on_error
        self.ledger = Ledger()
        self.findings: dict[tuple[Code, str, str], Finding] = {}
        self.rejected: list[Rejected] = []
        self.outputs: dict[str, Any] = {}
        self._log = log
        self._rejects = rejects
        self._pending: list[dict[str, Any]] | None = None

    def child(self, *, logged: bool) -> Report:
        """A report for a worker process: same policy, nothing open; ``merge`` it back in order."""
        child = Report(self.on_error)
        child._pending = [] if logged else None
        return child

    @property
    def logging(self) -> bool:
        """Whether every finding is wanted, not only counts and examples."""
        return self._log is not None or self._pending is not None

    def add(
        self,
        code: Code | str,
        what: str,
        *,
        format: str = "",
        where: Where | None = None,
        count: int = 1,
        measure: tuple[str, float] | None = None,
    ) -> None:
        """Count a finding.

        Args:
            code: its name in the catalogue.
            what: the thing, in a few words that are the same for every finding of this kind.
            format: the format that it is about.
            where: the place, kept for the first five.
            count: how often, when several are reported at once.
            measure: (name, value) of how far off an approximation is; the largest is kept, or for "IoU" the smallest.
        """
        key = (Code(code), format, what)
        finding = self.findings.get(key)
        if finding is None:
            finding = self.findings[key] = Finding(code=key[0], format=format, what=what)
        finding.count += count
        if where is not None and len(finding.examples) < EXAMPLES:
            finding.examples.append(where)
        if measure is not None:
            name, value = measure
            finding.measure = name
            worse = min if name == "IoU" else max
            finding.worst = value if finding.worst is None else worse(finding.worst, value)
        if self.logging:
            entry: dict[str, Any] = {"code": str(key[0]), "severity": finding.severity.name, "what": what}
            if format:
                entry["format"] = format
            if where is not None:
                entry["where"] = msgspec.to_builtins(where)
            if count != 1:
                entry["count"] = count
            if measure is not None:
                entry["measure"] = {measure[0]: measure[1]}
            self._emit_log(entry)

    def wants_example(self, code: Code, what: str, format: str) -> bool:
        """Whether the place of one more such finding would be kept."""
        finding = self.findings.get((code, format, what))
        return finding is None or len(finding.examples) < EXAMPLES or self.logging

    def tally(self, code: Code, what: str, format: str, item: Item, annotation: Annotation | None, count: int) -> None:
        """Count findings that come by the hundred thousand: ``add``, but the place is made only if it is wanted."""
        if not self.wants_example(code, what, format):
            self.findings[code, format, what].count += count
            return
        identity = None if annotation is None or annotation.id is None else str(annotation.id)
        where = Where(item=str(item.path or item.id), annotation=identity)
        self.add(code, what, format=format, where=where, count=count)

    def _emit_log(self, entry: dict[str, Any]) -> None:
        if self._log is not None:
            self._log.write(json.dumps(entry, ensure_ascii=False) + "\n")
        elif self._pending is not None:
            self._pending.append(entry)

    def reject(self, error: ConvertError, record: Any, *, kind: str = "object", what: str | None = None) -> None:
        """Deal with a record that cannot be read, by the run's policy.

        Args:
            error: what is wrong with it; raised under "fail".
            record: the record verbatim: a JSON value, or text.
            kind: "object" or "item", for the ledger.
            what: the reason in words that are the same for every such record; the error's message by default.

        Raises:
            ConvertError: ``error`` itself, under the policy "fail".
        """
        if self.on_error == "fail":
            if error.hint is None:
                error.hint = "mend the record, or convert the rest with --on-error skip (or quarantine)"
            raise error
        where = error.where or Where()
        self.add(Code.REJECTED, what or error.message, where=where)
        self.ledger.read_more(kind)
        if kind == "item":
            self.ledger.item("skipped")
        else:
            self.ledger.fate(((kind, "skipped"),))
        if self.on_error == "quarantine":
            self._keep(Rejected(reason=error.message, where=where, record=record))

    def _keep(self, rejected: Rejected) -> None:
        if self._rejects is not None:
            self._rejects.write(msgspec.json.encode(rejected).decode() + "\n")
        else:
            self.rejected.append(rejected)

    def merge(self, other: Report) -> None:
        """Add a worker's report; call in the order of the records, so that examples stay the first ones."""
        for key, theirs in other.findings.items():
            mine = self.findings.get(key)
            if mine is None:
                self.findings[key] = theirs
                continue
            mine.count += theirs.count
            mine.examples.extend(theirs.examples[: EXAMPLES - len(mine.examples)])
            if theirs.worst is not None:
                worse = min if theirs.measure == "IoU" else max
                mine.measure = theirs.measure
                mine.worst = theirs.worst if mine.worst is None else worse(mine.worst, theirs.worst)
        for entry in other._pending or ():
            self._emit_log(entry)
        for rejected in other.rejected:
            self._keep(rejected)
        self.ledger.merge(other.ledger)

    @property
    def worst(self) -> Severity | None:
        """The gravest severity found, or None."""
        return max((finding.severity for finding in self.findings.values()), default=None)

    def sorted(self) -> list[Finding]:
        """Findings, gravest first, then by count."""
        return sorted(self.findings.values(), key=lambda f: (-f.severity, -f.count, f.code, f.what))

    def count(self, code: Code | str, what: str | None = None) -> int:
        """How often a code was found (and, if given, of that ``what``)."""
        wanted = Code(code)
        return sum(f.count for f in self.findings.values() if f.code is wanted and what in (None, f.what))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values; the same run gives the same bytes (no times, no host)."""
        findings = []
        for finding in self.sorted():
            entry: dict[str, Any] = {
                "code": str(finding.code),
                "severity": finding.severity.name,
                "format": finding.format,
                "what": finding.what,
                "count": finding.count,
                "text": finding.text,
                "advice": CATALOGUE[finding.code].advice,
            }
            if finding.worst is not None:
                entry["worst"] = {str(finding.measure): finding.worst}
            if finding.examples:
                entry["examples"] = [msgspec.to_builtins(where) for where in finding.examples]
            findings.append(entry)
        return {**self.outputs, "balance": self.ledger.balance(), "findings": findings}

    def to_json(self) -> str:
        """The report as indented JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n"

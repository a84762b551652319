"""What a check found: counted by rule, with the first examples; merged from worker to worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import msgspec

from nucleus_convert.converters import codes
from nucleus_convert.converters.checking.catalogue import RULES, Code, Level
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.model import Annotation, Item
from nucleus_convert.converters.report import EXAMPLES, Finding, Sink

KINDS = 10_000
"""Different texts kept for a code; further ones are counted together, so that memory is bounded."""
OTHERS = "(others)"
Key: TypeAlias = tuple[codes.Code, str, str]
"""Of a finding in a report: code, format, what."""
_LEVELS = {
    codes.Severity.INFO: Level.NOTE,
    codes.Severity.WARNING: Level.WARNING,
    codes.Severity.LOSS: Level.WARNING,
}


class Problem(msgspec.Struct):
    """One kind of problem: how often, the first examples, and the worst measure where there is one."""

    code: str
    level: Level
    family: str
    what: str
    text: str
    advice: str
    count: int = 0
    examples: list[Where] = msgspec.field(default_factory=list)
    measure: str | None = None
    worst: float | None = None

    @property
    def line(self) -> str:
        """One line for a person."""
        if self.worst is None:
            return self.text
        return f"{self.text} (worst {self.measure}: {self.worst:,.4g})"


class Problems:
    """Collects problems.

    Args:
        logged: whether every single problem is wanted (``log`` gets them), not only counts and examples.
        log: a text file that gets every problem as a line of JSON; None in a worker, where they are held.
    """

    def __init__(self, *, logged: bool = False, log: Sink | None = None) -> None:
        self.found: dict[tuple[str, str], Problem] = {}
        self.logged = logged or log is not None
        self._log = log
        self._pending: list[dict[str, Any]] = []
        self._kinds: dict[str, int] = {}

    def add(
        self,
        code: Code,
        what: str = "",
        where: Where | None = None,
        *,
        count: int = 1,
        measure: tuple[str, float] | None = None,
    ) -> None:
        """Count a problem.

        Args:
            code: its rule.
            what: the thing, in words that are the same for every problem of this kind.
            where: the place, kept for the first five.
            count: how often, when several are told at once.
            measure: (name, value) of how bad it is; the largest is kept.
        """
        problem = self._problem(code, what)
        problem.count += count
        if where is not None and len(problem.examples) < EXAMPLES:
            problem.examples.append(where)
        if measure is not None:
            problem.measure = measure[0]
            problem.worst = measure[1] if problem.worst is None else max(problem.worst, measure[1])
        if self.logged:
            self._emit(problem, where, count, measure)

    def of(
        self,
        code: Code,
        what: str,
        item: Item,
        annotation: Annotation | None = None,
        measure: tuple[str, float] | None = None,
    ) -> None:
        """Count a problem of an item or annotation; its place is made only if it is wanted."""
        problem = self.found.get((code, what))
        where = None
        if self.logged or problem is None or len(problem.examples) < EXAMPLES:
            identity = None if annotation is None or annotation.id is None else str(annotation.id)
            where = Where(item=str(item.path or item.id), annotation=identity)
        self.add(code, what, where, measure=measure)

    def add_finding(self, finding: Finding) -> None:
        """Take over what a reader found; a log has it already, see :meth:`reader_log`."""
        code, level = _as_problem(finding.code)
        text, advice = finding.text, codes.CATALOGUE[finding.code].advice
        ours = _READING.get(finding.code)
        if ours is not None:
            text, advice = RULES[ours].text.replace("{what}", finding.what), RULES[ours].advice
        problem = self.found.setdefault(
            (code, finding.what), Problem(code, level, "reading", finding.what, text, advice)
        )
        problem.count += finding.count
        problem.examples += finding.examples[: EXAMPLES - len(problem.examples)]

    def reader_log(self, wanted: Callable[[Key], bool]) -> Sink | None:
        """A log for the report of a reader or writer, which gets every finding as the problem that it is.

        Args:
            wanted: tells of a finding, by its key in the report, whether it is taken over.

        Returns:
            None, if nobody asked for a log.
        """
        return None if self._log is None else _Findings(self._log, wanted)

    def _problem(self, code: Code, what: str) -> Problem:
        problem = self.found.get((code, what))
        if problem is None:
            known = self._kinds.get(code, 0)
            if known >= KINDS:
                what = OTHERS
            self._kinds[code] = known + 1
            rule = RULES[code]
            text = rule.text.replace("{what}", what)
            fresh = Problem(str(code), rule.level, rule.family, what, text, rule.advice)
            problem = self.found.setdefault((str(code), what), fresh)
        return problem

    def _emit(self, problem: Problem, where: Where | None, count: int, measure: tuple[str, float] | None) -> None:
        entry: dict[str, Any] = {"code": problem.code, "level": problem.level.name, "what": problem.what}
        if where is not None:
            entry["where"] = msgspec.to_builtins(where)
        if count != 1:
            entry["count"] = count
        if measure is not None:
            entry[measure[0]] = measure[1]
        if self._log is None:
            self._pending.append(entry)
        else:
            self._log.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def merge(self, other: Problems, *, but: Collection[str] = ()) -> None:
        """Add a worker's problems; call in the order of the records, so that examples stay the first ones.

        Args:
            other: the problems to add.
            but: codes to leave out.
        """
        for key, theirs in other.found.items():
            if theirs.code in but:
                continue
            mine = self.found.get(key)
            if mine is None:
                code = theirs.code
                if self._kinds.get(code, 0) < KINDS:
                    self._kinds[code] = self._kinds.get(code, 0) + 1
                    self.found[key] = theirs
                    continue
                mine = self._problem(Code(code), OTHERS)
            mine.count += theirs.count
            mine.examples += theirs.examples[: EXAMPLES - len(mine.examples)]
            if theirs.worst is not None:
                mine.measure = theirs.measure
                mine.worst = theirs.worst if mine.worst is None else max(mine.worst, theirs.worst)
        pending = [entry for entry in other._pending if entry["code"] not in but]
        if self._log is None:
            self._pending += pending
        else:
            for entry in pending:
                self._log.write(json.dumps(entry, ensure_ascii=False) + "\n")

    @property
    def worst(self) -> Level | None:
        """The gravest level found, or None."""
        return max((problem.level for problem in self.found.values()), default=None)

    def count(self, code: Code | str, what: str | None = None) -> int:
        """How often a code was found (and, if given, of that ``what``)."""
        return sum(p.count for p in self.found.values() if p.code == str(code) and what in (None, p.what))

    def total(self, level: Level) -> int:
        """How many problems of a level were found."""
        return sum(problem.count for problem in self.found.values() if problem.level is level)

    def sorted(self) -> list[Problem]:
        """Problems, gravest first, then by count."""
        return sorted(self.found.values(), key=lambda p: (-p.level, -p.count, p.code, p.what))

    def to_list(self) -> list[dict[str, Any]]:
        """The problems as JSON-ready values, gravest first."""
        listed = []
        for problem in self.sorted():
            entry: dict[str, Any] = {
                "code": problem.code,
                "level": problem.level.name,
                "family": problem.family,
                "what": problem.what,
                "count": problem.count,
                "text": problem.text,
                "advice": problem.advice,
            }
            if problem.worst is not None:
                entry["worst"] = {str(problem.measure): problem.worst}
            if problem.examples:
                entry["examples"] = [msgspec.to_builtins(where) for where in problem.examples]
            listed.append(entry)
        return listed


class _Findings:
    """Turns a report's log, line by line, into one of problems."""

    def __init__(self, log: Sink, wanted: Callable[[Key], bool]) -> None:
        self._log = log
        self._wanted = wanted

    def write(self, text: str, /) -> int:
        """Take a line."""
        found = json.loads(text)
        key = codes.Code(found["code"]), found.get("format", ""), found["what"]
        if not self._wanted(key):
            return 0
        code, level = _as_problem(key[0])
        entry = {"code": code, "level": level.name, "what": found["what"]}
        entry |= {name: found[name] for name in ("where", "count") if name in found}
        return self._log.write(json.dumps({**entry, **found.get("measure", {})}, ensure_ascii=False) + "\n")


def _as_problem(found: codes.Code) -> tuple[str, Level]:
    """The code and level of a finding among problems."""
    ours = _READING.get(found)
    if ours is not None:
        return str(ours), RULES[ours].level
    # What was left out was asked for.
    level = Level.NOTE if found is codes.Code.FILTERED else _LEVELS[codes.CATALOGUE[found].severity]
    return str(found), level


_READING = {codes.Code.REJECTED: Code.UNREADABLE, codes.Code.LABEL_RENAMED: Code.LABEL_TWO_IDS}
"""Findings of readers that have a rule here."""

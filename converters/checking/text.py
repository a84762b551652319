"""Problems as a person reads them: gravest first, a line each, and a last line that says how it went."""

from __future__ import annotations

from collections.abc import Iterator

from nucleus_convert.converters.checking.catalogue import Level
from nucleus_convert.converters.checking.problems import Problem, Problems
from nucleus_convert.converters.wording import plural, printable


def lines(problems: Problems, *, verbose: bool, limit: int) -> Iterator[tuple[str, Level | None]]:
    """(line, level that colours it).

    Args:
        problems: what was found.
        verbose: notes too, and each problem with its examples and what to do.
        limit: kinds of problems shown; 0: all.
    """
    found = problems.sorted()
    wanted = found if verbose else [problem for problem in found if problem.level > Level.NOTE]
    shown = wanted[:limit] if limit else wanted
    width = max((len(problem.code) for problem in shown), default=0)
    for problem in shown:
        yield from _problem(problem, width, verbose=verbose)
    if len(wanted) > len(shown):
        yield f"... and {plural(len(wanted) - len(shown), 'more kind')} of problem (--limit 0 shows all)", None
    yield _end(problems, found, verbose=verbose), None


def _problem(problem: Problem, width: int, *, verbose: bool) -> Iterator[tuple[str, Level | None]]:
    text = f"{problem.level.name:<7}  {problem.code:<{width}}  {printable(problem.line)}"
    if problem.count > 1:
        text += f" [{problem.count:,} times]"
    if problem.examples and not verbose and str(problem.examples[0]):
        text += f", e.g. {printable(str(problem.examples[0]))}"
    yield text, problem.level
    if verbose:
        for where in problem.examples:
            yield f"         {'':<{width}}  at {printable(str(where))}", None
        yield f"         {'':<{width}}  {problem.advice}", None


def _end(problems: Problems, found: list[Problem], *, verbose: bool) -> str:
    said = []
    for level, noun in ((Level.ERROR, "error"), (Level.WARNING, "warning"), (Level.NOTE, "note")):
        kinds = sum(problem.level is level for problem in found)
        if kinds:
            count = plural(problems.total(level), noun)
            said.append(f"{count} of {plural(kinds, 'kind')}" if kinds > 1 else count)
    if not any(problem.level > Level.NOTE for problem in found):
        said.insert(0, "no errors, no warnings")
    hidden = any(problem.level is Level.NOTE for problem in found) and not verbose
    return ", ".join(said) + ("; -v shows the notes" if hidden else "")

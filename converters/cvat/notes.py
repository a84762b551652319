"""Findings and errors at elements, with the line of the file: worked out only for those that are shown."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.meta import FORMAT
from nucleus_convert.converters.errors import ConvertError, Where
from nucleus_convert.converters.report import EXAMPLES, Report
from nucleus_convert.formats.cvat import Node, dump, line_of


class Place:
    """A stretch of a file and the elements that were made of it.

    Attributes:
        report: where findings go.
        item: the item at hand, for findings.
    """

    def __init__(self, path: Path, file: str, begin: int, end: int, roots: list[Node], report: Report) -> None:
        self.path = path
        self.file = file
        self.begin = begin
        self.end = end
        self.roots = roots
        self.report = report
        self.item: str | None = None

    def where(self, node: Node) -> Where:
        """File and line of an element of the stretch."""
        ordinal = 0
        stack = self.roots[::-1]
        while stack:
            one = stack.pop()
            if one is node:
                line = line_of(self.path, self.begin, self.end, ordinal)
                return Where(file=self.file, line=line, item=self.item)
            ordinal += 1
            stack.extend(one.children[::-1])
        return Where(file=self.file, item=self.item)

    def note(self, code: Code, what: str, node: Node) -> None:
        """Report a finding at an element."""
        finding = self.report.findings.get((code, FORMAT, what))
        if finding is not None and len(finding.examples) >= EXAMPLES and not self.report.logging:
            finding.count += 1
            return
        self.report.add(code, what, format=FORMAT, where=self.where(node))

    def reject(self, error: ConvertError, node: Node, *, kind: str = "object") -> None:
        """Deal with an element that cannot be read by the run's policy.

        Raises:
            ConvertError: under the policy "fail".
        """
        where = self.where(node)
        if error.where is not None and error.where.path is not None:
            where = msgspec.structs.replace(where, path=error.where.path)
        error.where = where
        self.report.reject(error, dump(node), kind=kind)

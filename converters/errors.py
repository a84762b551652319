"""The errors a person can act on, and the exit codes of the command line.

Every error is one sentence that names the thing, where it is, and a hint that says what to do. Library code
raises these and never prints or exits; ``cli.py`` prints them and exits with ``exit_code``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    from nucleus_convert.converters.report import Report


class Where(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a thing was found: a file, then as much as is known of line, JSON path, item and annotation."""

    file: str | None = None
    line: int | None = None
    path: str | None = None
    item: str | None = None
    annotation: str | None = None

    def __str__(self) -> str:
        head = self.file or ""
        if self.line is not None:
            head += f":{self.line}"
        if self.path is not None:
            head += f" {self.path}" if head else self.path
        tail = [
            f"{name} {value}"
            for name, value in (("item", self.item), ("annotation", self.annotation))
            if value is not None
        ]
        return ", ".join([part for part in [head, *tail] if part])


class ConvertError(Exception):
    """Root of all errors raised on purpose.

    Args:
        message: one sentence, lower case, without a final stop, naming the thing and what was expected.
        where: file, line or JSON path, item, annotation, as far as known.
        hint: what to do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, where: Where | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = self.message
        if self.where is not None and str(self.where):
            text = f"{self.where}: {text}"
        if self.hint:
            text = f"{text}\n  hint: {self.hint}"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class with `args` only: an error from a worker would lose place and hint.
        return type(self), (self.message, self.where, self.hint)


class LossRefusedError(ConvertError):
    """The report holds what ``--fail-on`` forbids; nothing was written. ``report`` says what."""

    exit_code = 3
    report: Report | None = None


class UnknownFormatError(ConvertError):
    """No format of that name, or none that can do what was asked."""

    exit_code = 21


class DetectionError(ConvertError):
    """The source's format could not be told, or more than one fits."""

    exit_code = 22


class OptionError(ConvertError):
    """An option, or a file that options name (a label map), is not valid."""

    exit_code = 23


class ReadError(ConvertError):
    """The source could not be read."""

    exit_code = 30


class MalformedFileError(ReadError):
    """The file is not what its syntax requires: truncated JSON, broken XML, not a PNG."""

    exit_code = 31


class SchemaError(ReadError):
    """The syntax is right, a value is not: wrong type, number of elements, range."""

    exit_code = 32


class DanglingReferenceError(ReadError):
    """Something refers to an item or a label that the source never declares."""

    exit_code = 33


class WriteError(ConvertError):
    """The target could not be written."""

    exit_code = 40


class OutputExistsError(WriteError):
    """The target exists and ``--overwrite`` was not given."""

    exit_code = 41


class UnrepresentableError(WriteError):
    """The target cannot hold this, and no policy was given that would let it be changed."""

    exit_code = 42


class VerifyError(ConvertError):
    """What was written does not read back as what was meant."""

    exit_code = 50


class InternalError(ConvertError):
    """A bug of ours: the balance does not close, a writer met a record that does not fit."""

    exit_code = 70

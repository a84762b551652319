"""Opening a data set to look at it: its format found out or named, its reader's options as ``NAME=VALUE``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import options as option_models
from nucleus_convert.converters import registry
from nucleus_convert.converters import source as sources
from nucleus_convert.converters.errors import ConvertError, OptionError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.protocol import Spec
from nucleus_convert.converters.report import OnError, Report

NONE: Mapping[str, Any] = {}


class DataSet(msgspec.Struct, frozen=True):
    """A data set that is open: what it is called, what it says, what its format can say, and where it is.

    ``path`` is the file or folder that was read: of a zip, where it is unpacked to. ``report`` says what was found
    while opening it.
    """

    name: str
    labels: LabelSet
    spec: Spec
    path: Path
    report: Report


@contextmanager
def both(
    first: tuple[Path, str], other: tuple[Path | None, str], given: Mapping[str, Any], *, on_error: OnError = "fail"
) -> Iterator[list[DataSet]]:
    """Open the sources of a command.

    Args:
        first: the path, and what the options ``source_<side>`` and ``read_<side>`` call it.
        other: likewise; there may be none.
        given: these options, and options of readers, which go to each source whose reader has them.
        on_error: what a bad record does.

    Raises:
        OptionError: an option that neither reader has, or a value that is not valid.
        ConvertError: a source cannot be read.
    """
    rest = {name: value for name, value in given.items() if value not in (None, ())}
    sides = []
    for path, side in (first, other):
        end = f"_{side}" if side else ""
        named, own = rest.pop(f"source{end}", None), rest.pop(f"read{end}", ())
        if path is not None:
            sides.append((path, named, own))
    with ExitStack() as stack:
        opened_ones = [
            stack.enter_context(opened(path, source=named, given=own, shared=rest, on_error=on_error))
            for path, named, own in sides
        ]
        for name in rest:
            if not any(name in registry.get(one.spec.name).ReadOptions.model_fields for one in opened_ones):
                formats = " or ".join(dict.fromkeys(one.spec.name for one in opened_ones))
                raise OptionError(f"the reader of {formats} has no option '{name.replace('_', '-')}'")
        yield opened_ones


@contextmanager
def opened(
    path: Path,
    *,
    source: str | None = None,
    given: Sequence[str] = (),
    shared: Mapping[str, Any] = NONE,
    on_error: OnError = "fail",
) -> Iterator[DataSet]:
    """Open a data set; a zip's temporary folder is removed at the end, so records are to be read within.

    Args:
        path: a file, a folder or a ``.zip``.
        source: its format; None: find out.
        given: options of the format's reader, ``NAME=VALUE``, or ``NAME`` for those that are on or off.
        shared: further options, by name, of which the reader takes those that it has.
        on_error: what a bad record does.

    Raises:
        OptionError: an option that the reader does not have, or a value that is not valid.
        ConvertError: it cannot be read, now or as its records are.
    """
    with sources.opened(path) as found:
        try:
            module = registry.get(source or registry.detect(found.path))
            known = module.ReadOptions.model_fields
            values = _values(given)
            for name in values:
                if name not in known:
                    raise OptionError(
                        f"{module.SPEC.name} has no reader option '{name.replace('_', '-')}'",
                        Where(file=str(path)),
                        option_models.did_you_mean(name, list(known), "options").replace("_", "-"),
                    )
            values = {**{name: value for name, value in shared.items() if name in known}, **values}
            options = option_models.validated(module.ReadOptions, values)
            report = Report(on_error)
            labels: LabelSet = module.read(found.path, options=options, report=report)
            yield DataSet(found.name, labels, module.SPEC, found.path, report)
        except ConvertError as error:
            found.explain(error)
            raise


def _values(given: Sequence[str]) -> dict[str, Any]:
    """Options by name; one that is given more than once has all its values."""
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        new: Any = value if equals else True
        if name in values:
            new = [*values[name], new] if isinstance(values[name], list) else [values[name], new]
        values[name] = new
    return values

"""Opening a data set to look at it: its format found out or named, its reader's options as ``NAME=VALUE``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import options as option_models
from nucleus_convert.converters import registry
from nucleus_convert.converters import source as sources
from nucleus_convert.converters.errors import ConvertError, OptionError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.protocol import Spec
from nucleus_convert.converters.report import Report


class Looked(msgspec.Struct, frozen=True):
    """A data set that is open: what it is called, what it says, what its format can say, and where it is.

    ``path`` is the file or folder that was read: of a zip, where it is unpacked to.
    """

    name: str
    labels: LabelSet
    spec: Spec
    path: Path


@contextmanager
def opened(path: Path, *, source: str | None = None, given: Sequence[str] = ()) -> Iterator[Looked]:
    """Open a data set; a zip's temporary folder is removed at the end, so records are to be read within.

    Args:
        path: a file, a folder or a ``.zip``.
        source: its format; None: find out.
        given: options of the format's reader, ``NAME=VALUE``, or ``NAME`` for those that are on or off.

    Raises:
        OptionError: an option that the reader does not have, or a value that is not valid.
        ConvertError: it cannot be read, now or as its records are.
    """
    with sources.opened(path) as found:
        try:
            module = registry.get(source or registry.detect(found.path))
            values = _values(given)
            for name in values:
                if name not in module.ReadOptions.model_fields:
                    known = list(module.ReadOptions.model_fields)
                    raise OptionError(
                        f"{module.SPEC.name} has no reader option '{name.replace('_', '-')}'",
                        Where(file=str(path)),
                        option_models.did_you_mean(name, known, "options").replace("_", "-"),
                    )
            options = option_models.validated(module.ReadOptions, values)
            labels: LabelSet = module.read(found.path, options=options, report=Report())
            yield Looked(found.name, labels, module.SPEC, found.path)
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

"""Options of formats: those of reader and writer, made from what a caller gives.

A model is a class of :class:`optionmodel.Options`, or of pydantic's: they are asked the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from nucleus_convert.converters.commandline import Described
from nucleus_convert.converters.errors import OptionError, Where

Model: TypeAlias = type[Any]


def split(
    given: Mapping[str, Any],
    reader: Model | None,
    writer: Model | None,
) -> tuple[Any, Any]:
    """Make both option models; an option that both have goes to both.

    Raises:
        OptionError: an option that neither has, or a value that is not valid.
    """
    models = [made for made in (reader, writer) if made is not None]
    known = [name for made in models for name in made.model_fields]
    for name in given:
        if name not in known:
            raise OptionError(f"unknown option '{name}'", hint=did_you_mean(name, known, "options"))
    return _make(reader, given), _make(writer, given)


def _make(model: Model | None, given: Mapping[str, Any]) -> Any:
    if model is None:
        return None
    return validated(model, {name: value for name, value in given.items() if name in model.model_fields})


def validated(model: Model, values: Mapping[str, Any], where: Where | None = None) -> Any:
    """``model`` made from ``values``.

    Args:
        model: what to make.
        values: what a person wrote.
        where: the file they wrote it in; without one they are options.

    Raises:
        OptionError: naming the first key that is wrong, and how many more are.
    """
    try:
        return model.model_validate(values)
    except ValueError as error:
        if not hasattr(error, "errors"):
            raise
        raise _explained(error, model, where) from error


def _explained(error: Any, model: Model, where: Where | None) -> OptionError:
    problems = error.errors(include_url=False)
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    hint = None
    if first["type"] == "extra_forbidden":
        text = f"unknown key '{key}'"
        hint = did_you_mean(key, list(model.model_fields), "keys")
    else:
        # A ValueError of a validator of ours comes with a prefix that says nothing.
        said = first["msg"].removeprefix("Value error, ")
        said = said[0].lower() + said[1:]
        name = f"'{key}': " if where else f"option '{key}': "
        text = f"{name}{said}" if key else said
        if first["type"] not in ("value_error", "missing"):
            text += f", not {first['input']!r:.60}"
    if len(problems) > 1:
        text += f" (and {len(problems) - 1} more like it)"
    return OptionError(text, where, hint)


def did_you_mean(name: str, known: list[str], these: str) -> str:
    """A hint: the nearest known name, or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"{these}: {', '.join(dict.fromkeys(known)) or 'none'}"


def described(reader: Model | None, writer: Model | None) -> list[Described]:
    """The options of both models, the reader's first; one that both have is there once."""
    made: dict[str, Described] = {}
    sides: list[tuple[Literal["Source", "Target"], Model | None]] = [
        ("Source", reader),
        ("Target", writer),
    ]
    for side, model in sides:
        for name, field in (model.model_fields if model else {}).items():
            if name not in made:
                made[name] = _described(name, field, side)
    return list(made.values())


def described_all(readers: Mapping[str, Model], writer: Model | None) -> list[Described]:
    """The options of several formats' readers, each with the formats that have it, and of a writer.

    An option of a writer that readers have too is there once.
    """
    made: dict[str, Described] = {}
    formats: dict[str, list[str]] = {}
    for name, reader in readers.items():
        for one in described(reader, None):
            formats.setdefault(one.name, []).append(name)
            made.setdefault(one.name, one)
    for name, one in made.items():
        text = f"{', '.join(formats[name])}: {one.settings['help']}"
        made[name] = one._replace(settings={**one.settings, "help": text})
    for one in described(None, writer):
        made.setdefault(one.name, one)
    return list(made.values())


def _described(name: str, field: Any, side: Literal["Source", "Target"]) -> Described:
    flag = name.replace("_", "-")
    text = field.description or ""
    settings: dict[str, Any] = {"default": None}
    kind, choices, many = _kind(field.annotation)
    if kind is bool:
        if field.default is not False:  # None is neither: what is best is found out
            flag = f"{flag}/--no-{flag}"
            text += " [default: yes]" if field.default else ""
        settings |= {"is_flag": True}
    else:
        settings |= {"multiple": many}
        if choices:
            settings["type"] = choices
        elif kind in (int, float, Path):
            settings |= {"type": kind, "metavar": {int: "N", float: "NUMBER", Path: "FILE"}[kind]}
        else:
            settings["metavar"] = "TEXT"
        default = field.get_default(call_default_factory=True)
        if default not in (None, (), [], ""):
            text += f" [default: {default}]"
    return Described(name, flag, side, settings | {"help": text})


def _kind(annotation: Any) -> tuple[Any, list[str] | None, bool]:
    """What an annotation asks of a command line: a type, the choices if they are few, whether it repeats."""
    if annotation is not None and get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    origin, args = get_origin(annotation), [arg for arg in get_args(annotation) if arg is not type(None)]
    if origin in (Union, UnionType) and len(args) == 1:
        return _kind(args[0])
    if origin is Literal and all(isinstance(arg, str) for arg in args):
        return str, [str(arg) for arg in args], False
    if origin in (list, tuple, set, frozenset):
        kind, choices, _ = _kind(args[0])
        return kind, choices, True
    return annotation, None, False

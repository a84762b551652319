"""What options of formats are declared with: names, types, defaults, limits and texts.

Values that somebody gives are checked by pydantic. Many runs give none, and to import pydantic and make its models
takes as long as to convert two thousand small files: so that is done when a first value is given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, dataclass_transform, get_type_hints


class Field:
    """An option: its default, the text for people, and what else pydantic is to know of it."""

    def __init__(
        self, default: Any, description: str, check: Callable[[Any], Any] | None, limits: Mapping[str, Any]
    ) -> None:
        self.default = default
        self.description = description
        self.check = check
        self.limits = limits
        self._owner: type[Any] = object
        self._name = ""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._owner, self._name = owner, name

    @property
    def annotation(self) -> Any:
        """The type."""
        return get_type_hints(self._owner, include_extras=True)[self._name]

    def get_default(self, *, call_default_factory: bool = False) -> Any:
        """The default; there are no factories."""
        return self.default


def option(
    default: Any, *, description: str, check: Callable[[Any], Any] | None = None, **limits: Any
) -> Any:
    """Declare an option of a class of :class:`Options`.

    Args:
        default: its value where none is given.
        description: for the command line's help.
        check: what to do with a value of the right type: give it back, or raise ValueError.
        limits: such as ``ge=1``, as pydantic calls them.
    """
    return Field(default, description, check, limits)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
class Options:
    """Base of options. Methods have the names that pydantic's models have.

    Raises:
        pydantic.ValidationError: an option that there is not, or a value that is not valid.
    """

    model_fields: ClassVar[Mapping[str, Field]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: field for name, field in vars(cls).items() if isinstance(field, Field)}
        cls.model_fields = {**cls.model_fields, **own}

    def __init__(self, /, **given: Any) -> None:
        values = {name: field.default for name, field in self.model_fields.items()}
        if given:
            cls: Any = type(self)
            checked = _model(cls).model_validate(given)
            values = {name: getattr(checked, name) for name in values}
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is not to be changed; make another with model_copy")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    @classmethod
    def model_validate(cls, values: Mapping[str, Any]) -> Self:
        """Options of values that somebody gave."""
        return cls(**values)

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """The values by name; with the mode "json" as JSON has them."""
        return {name: _plain(value) if mode == "json" else value for name, value in vars(self).items()}

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """The same with other values, which are not checked."""
        made = object.__new__(type(self))
        made.__dict__.update(vars(self) | dict(update))
        return made


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(map(_plain, value)) if isinstance(value, (tuple, list)) else value


@functools.cache
def _model(options: Any) -> Any:
    """The model that checks what is given."""
    from typing import Annotated

    import pydantic

    fields: dict[str, Any] = {}
    for name, field in options.model_fields.items():
        kind = field.annotation
        if field.check is not None:
            kind = Annotated[kind, pydantic.AfterValidator(field.check)]
        fields[name] = kind, pydantic.Field(field.default, description=field.description, **field.limits)
    return pydantic.create_model(options.__name__, __config__=pydantic.ConfigDict(extra="forbid"), **fields)

"""What YOLO's files say: label lines, ``data.yaml``, Darknet's files, a manifest of sizes.

Facts: Ultralytics' data set documentation, AlexeyAB's darknet, Datumaro's ``images.meta``. YAML is never
given the chance to make objects, and nothing in it is executed or downloaded: ``download:`` is a string
like any other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import pydantic
import yaml

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where

Row: TypeAlias = tuple[int, list[bytes]]
"""Line number, from 1, and the line's columns."""

MAX_YAML: Final = 1 << 24
SPLITS: Final = ("train", "val", "test", "minival")
"""The keys that Ultralytics knows to hold images."""
_MISC: Final = frozenset(
    {"path", "names", "nc", "kpt_shape", "flip_idx", "kpt_names", "skeleton", "download", "task", "channels"}
)
_BOM: Final = b"\xef\xbb\xbf"


def read_bytes(path: Path) -> bytes:
    """A whole file without a byte order mark.

    Raises:
        ReadError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=str(path))) from error
    return data.removeprefix(_BOM)


def read_text(path: Path) -> str:
    """A whole file of UTF-8.

    Raises:
        ReadError: it cannot be read.
        MalformedFileError: it is not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise MalformedFileError(
            "the file is not UTF-8", Where(file=str(path), line=line), "save it as UTF-8"
        ) from error


# --- label lines ---------------------------------------------------------------------------------------


def rows(data: bytes) -> Iterator[Row]:
    """The lines of a label file that are not blank. Columns are parted by any white space."""
    if data.startswith(_BOM):
        data = data[3:]
    # A lone carriage return ends a line too, but within CRLF it is white space and parts nothing.
    lines = data.split(b"\n") if b"\r" not in data else data.splitlines()
    for number, line in enumerate(lines, 1):
        columns = line.split()
        if columns:
            yield number, columns


# --- data.yaml -----------------------------------------------------------------------------------------


def _keyed(value: Any) -> Any:
    """A list as a mapping from its positions; what is neither is for pydantic to refuse."""
    return dict(enumerate(value)) if isinstance(value, list) else value


def _listed(value: Any) -> Any:
    if value is None or value == "":
        return []
    return (
        [value] if isinstance(value, str) else [v for v in value if v] if isinstance(value, list) else value
    )


Names: TypeAlias = Annotated[dict[int, str], pydantic.BeforeValidator(_keyed)]
KptShape: TypeAlias = tuple[
    Annotated[int, pydantic.Field(ge=1, le=10_000)], Annotated[int, pydantic.Field(ge=2, le=3)]
]
"""How many keypoints, and whether each is x, y or x, y, visibility."""
Places: TypeAlias = Annotated[list[str], pydantic.BeforeValidator(_listed)]


class DataYaml(pydantic.BaseModel, extra="allow"):
    """The keys of ``data.yaml`` that say something of labels; the rest is kept in ``model_extra``."""

    path: str | None = None
    train: Places = []
    val: Places = []
    test: Places = []
    minival: Places = []
    names: Names = {}
    nc: int | None = None
    kpt_shape: KptShape | None = None
    flip_idx: list[int] | None = None
    kpt_names: Annotated[dict[int, list[str]], pydantic.BeforeValidator(_keyed)] = {}
    skeleton: list[tuple[int, int]] | None = None

    @pydantic.field_validator("names")
    @classmethod
    def _not_negative(cls, names: dict[int, str]) -> dict[int, str]:
        if names and min(names) < 0:
            raise ValueError(f"class numbers start at 0, found {min(names)}")
        return names

    @property
    def others(self) -> dict[str, Any]:
        """Keys that are not Ultralytics' own words for labels."""
        return dict(self.model_extra or {})

    def splits(self) -> dict[str, list[str]]:
        """Split -> the places named for it, as far as any is."""
        return {name: places for name in SPLITS if (places := getattr(self, name))}

    def other_splits(self) -> dict[str, list[str]]:
        """Other keys that may be splits, as CVAT writes them: their values are names of lists or folders."""
        found: dict[str, list[str]] = {}
        for name, value in self.others.items():
            places = [value] if isinstance(value, str) else value
            texts = (
                isinstance(places, list) and bool(places) and all(isinstance(v, str) and v for v in places)
            )
            if texts and name not in _MISC and not name.startswith("nucleus_convert"):
                found[name] = places
        return found


class _Loader(yaml.SafeLoader):
    """Safe, and without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not read", event.start_mark)
        return super().compose_node(parent, index)


def load_yaml(path: Path) -> DataYaml:
    """Read a ``data.yaml``. Names are the text that stands there: ``no`` is a name, not false.

    Raises:
        MalformedFileError: not YAML, or too large.
        SchemaError: a key's value is not what the key asks for.
    """
    where = Where(file=str(path))
    text = read_text(path)
    if len(text) > MAX_YAML:
        raise MalformedFileError(f"a data.yaml of {len(text):,} characters is not believed", where)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if not isinstance(node, yaml.MappingNode):
                raise SchemaError("expected keys and values, such as 'names:'", where)
            values = {str(key.value): _value(loader, str(key.value), value) for key, value in node.value}
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        problem = getattr(error, "problem", None) or "not readable"
        raise MalformedFileError(
            f"the file is not YAML: {problem}", Where(file=str(path), line=line), "mend the line"
        ) from error
    except (RecursionError, ValueError, TypeError) as error:
        raise MalformedFileError(f"the file is not YAML: {error or 'nested too deep'}", where) from error
    if "validation" in values and "val" not in values:
        values["val"] = values.pop("validation")
    return _validated(values, where)


def _value(loader: Any, key: str, node: Any) -> Any:
    """A value; names as text, whatever YAML 1.1 takes ``no``, ``on`` or ``1e3`` for."""
    if key in ("names", "kpt_names"):
        return _texts(node)
    return _plain(loader.construct_object(node, deep=True))


def _texts(node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_texts(child) for child in node.value]
    return {key.value: _texts(child) for key, child in node.value}


def _plain(value: Any) -> Any:
    """A value of YAML as one of JSON: dates, sets and the like as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def _validated(values: Mapping[str, Any], where: Where) -> DataYaml:
    try:
        return DataYaml.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = first["msg"].removeprefix("Value error, ")
        place = ".".join(str(part) for part in first["loc"])
        raise SchemaError(
            f"{said[0].lower()}{said[1:]}, found {first['input']!r:.60}",
            Where(file=where.file, path=place),
            "see https://docs.ultralytics.com/datasets/ for what the key holds",
        ) from error


def dump_yaml(values: Mapping[str, Any]) -> str:
    """The text of a ``data.yaml``: keys in their order, names quoted where YAML would mistake them."""
    return yaml.safe_dump(
        dict(values), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )


# --- Darknet -------------------------------------------------------------------------------------------

_ASSIGNMENT: Final = re.compile(r"^\s*([A-Za-z_][\w.-]*)\s*=\s*(.*?)\s*$")


def load_assignments(path: Path) -> dict[str, str]:
    """The ``key = value`` lines of an ``obj.data``; other lines say nothing."""
    found = (_ASSIGNMENT.match(line) for line in read_text(path).splitlines())
    return {match[1]: match[2] for match in found if match}


def load_names(path: Path) -> list[str]:
    """Class names, one a line; blank lines at the end are none.

    Raises:
        SchemaError: a blank line between names, which would shift all that follow.
    """
    names = [line.strip() for line in read_text(path).splitlines()]
    while names and not names[-1]:
        names.pop()
    if "" in names:
        raise SchemaError(
            "a blank line between class names",
            Where(file=str(path), line=names.index("") + 1),
            "name the class",
        )
    return names


def load_list(path: Path) -> list[str]:
    """The lines of a list of images that are not blank."""
    return [line for line in re.split(r"\r\n|\r|\n", read_text(path)) if line.strip()]


# --- sizes ---------------------------------------------------------------------------------------------

_META: Final = re.compile(r'^\s*(?:"((?:[^"\\]|\\.)*)"|(\S+))\s+(\d{1,9})\s+(\d{1,9})\s*$')


def load_sizes(path: Path) -> dict[str, tuple[int, int]]:
    """Image name -> width and height.

    Read are Datumaro's ``images.meta`` (name, height, width, parted by spaces, the name quoted if need be)
    and ``name,width,height``.

    Raises:
        SchemaError: a line is neither.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        text = line.rstrip("\r")
        if not text.strip() or text.startswith("#"):
            continue
        match = _META.match(text)
        if match:
            name = match[2] if match[1] is None else re.sub(r"\\(.)", r"\1", match[1])
            sizes[name] = int(match[4]), int(match[3])
            continue
        name, *numbers = text.rsplit(",", 2)
        if len(numbers) == 2 and all(n.strip().isdecimal() and len(n) < 10 for n in numbers):
            sizes[name.strip('"')] = int(numbers[0]), int(numbers[1])
        elif number > 1 or not text.lower().replace(" ", "").endswith(",width,height"):
            raise SchemaError(
                "expected an image's name and size",
                Where(file=str(path), line=number),
                'write "name" HEIGHT WIDTH, or name,WIDTH,HEIGHT',
            )
    return sizes


def dump_size(name: str, width: int | None, height: int | None) -> str:
    """A line of an ``images.meta``; a size that is not known is 0."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" {height or 0} {width or 0}\n'


def dump_lines(lines: Sequence[str]) -> str:
    """Lines as a file ends them."""
    return "".join(f"{line}\n" for line in lines)

"""What commands take, as data: ``cli`` makes click's arguments and options of it, help included.

Light: it is imported before any command is chosen, and knows neither click nor the models of formats' options.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, NamedTuple


class Described(NamedTuple):
    """An option: ``settings`` are click's. ``side`` is its heading in the help, ``short`` its one-letter flag."""

    name: str
    flag: str
    side: Literal["Common", "Source", "Target"]
    settings: dict[str, Any]
    short: str | None = None


class Between(NamedTuple):
    """The type of a number with bounds, both included; None: there is no upper one."""

    kind: type[int] | type[float]
    low: float
    high: float | None = None


class Argument(NamedTuple):
    """A path that a command takes by its place."""

    name: str
    metavar: str
    required: bool = True


class Look(NamedTuple):
    """A command that looks at data sets. ``target``: the format whose writer's options it takes too."""

    arguments: tuple[Argument, ...]
    options: tuple[Described, ...]
    target: str | None = None


def _option(flag: str, text: str, *, name: str | None = None, short: str | None = None, **settings: Any) -> Described:
    return Described(name or flag.replace("-", "_"), flag, "Common", {**settings, "help": text}, short)


def _flag(flag: str, text: str, *, name: str | None = None, short: str | None = None) -> Described:
    return _option(flag, text, name=name, short=short, is_flag=True)


def _sided(side: str = "") -> tuple[Described, ...]:
    """The format of one of a command's sources, and options for its reader alone."""
    of, end = (f" of {side.upper()}", f"-{side}") if side else (" of SRC", "")
    return (
        _option(f"source{end}", f"the format{of} [default: found out]", metavar="FORMAT"),
        _option(f"read{end}", f"an option for the reader{of} alone, see below", multiple=True, metavar="NAME=VALUE"),
    )


SRC: Final = Argument("src", "SRC")
_WORKERS: Final = _option(
    "workers", "processes [default: one, more for a large data set]", type=Between(int, 1), metavar="N"
)

CONVERT: Final = (
    _option("output", "file or folder to make", short="o", type=Path, metavar="OUT"),
    _flag("dry-run", "do everything, leave nothing: what would be lost?"),
    _option(
        "fail-on",
        "write nothing, and exit with 3, if the report holds a finding so grave",
        type=["never", "warning", "loss"],
        default="never",
        show_default=True,
    ),
    _option(
        "on-error",
        "what a bad record does: stop, be left out, or go to rejected.jsonl",
        type=["fail", "skip", "quarantine"],
        default="fail",
        show_default=True,
    ),
    _option("labels", "label map (TOML or YAML): rename, merge, drop, order", type=Path, metavar="FILE"),
    _option("log", "every single finding, as JSON Lines", type=Path, metavar="FILE"),
    _flag("overwrite", "replace what an earlier run wrote at OUT"),
    _option(
        "verify",
        "read the output back and compare; auto: all of a small data set, a sample of a large one",
        type=["auto", "all", "none"],
        default="auto",
        show_default=True,
    ),
    _option("no-verify", "the same as --verify none", name="verify", flag_value="none"),
    _WORKERS,
    _flag("quiet", "print errors only", short="q"),
    _flag("verbose", "print every finding, and tracebacks of bugs", short="v"),
)
"""What every pair command takes."""

_LOOKING: Final = (
    _option("source", "the format of SRC [default: found out]", metavar="FORMAT"),
    _flag("json", "for programs; everything", name="as_json"),
    _option("limit", "rows shown; 0: all", type=Between(int, 0), default=30, show_default=True, metavar="N"),
    _WORKERS,
    _flag("quiet", "no progress; of a check, no problems either: the exit code says it", short="q"),
)

INSPECT: Final = Look(
    (SRC,),
    (
        *_LOOKING,
        _option("html", "write one page that needs nothing else", type=Path, metavar="FILE"),
        _flag("overwrite", "replace FILE"),
    ),
)

CHECK: Final = Look(
    (SRC,),
    (
        *_LOOKING,
        _option("as", "try what an upload would meet", name="target", type=["nucleus"]),
        _flag("asynchronous", "masks are to be uploaded asynchronously, not from local files"),
        _option(
            "fail-on",
            "exit with 3 if there is a problem so grave",
            type=["never", "warning", "error"],
            default="error",
            show_default=True,
        ),
        _option(
            "duplicate-iou",
            "from which overlap on two objects of one label are taken for one",
            type=Between(float, 0.5, 1),
            default=0.95,
            show_default=True,
        ),
        _option("log", "every single problem, as JSON Lines", type=Path, metavar="FILE"),
        _flag("verbose", "notes too; all examples, and what to do", short="v"),
    ),
    target="nucleus",
)

DIFF: Final = Look(
    (Argument("a", "A"), Argument("b", "B")),
    (
        *_sided("a"),
        *_sided("b"),
        _option(
            "pixels",
            "coordinates may be so far apart [default: 0; 0.01 where the formats differ]",
            type=Between(float, 0),
            metavar="N",
        ),
        _option(
            "iou", "so much overlap is no change [default: 1]", type=Between(float, 0, 1), default=1.0, metavar="N"
        ),
        _option("number", "as --pixels, for other numbers", type=Between(float, 0), default=0.0, metavar="N"),
        _option(
            "overlap",
            "objects that overlap so much are one, unless their ids say so [default: 0.5]",
            type=Between(float, 0, 1),
            default=0.5,
            metavar="N",
        ),
        _option(
            "ignore",
            "do not compare: label, box, ..., id, confidence, attributes, extras, ..., item, header",
            multiple=True,
            metavar="FIELD",
        ),
        _option(
            "on-error",
            "what a bad record does: stop, or be left out and told of",
            type=["fail", "skip"],
            default="fail",
            show_default=True,
        ),
        _option("limit", "items shown; 0: all", type=Between(int, 0), default=20, show_default=True, metavar="N"),
        _flag("json", "for programs; everything", name="as_json"),
        _flag("quiet", "print nothing: the exit code says it", short="q"),
    ),
)

PREVIEW: Final = Look(
    (SRC, Argument("other", "[OTHER]", required=False)),
    (
        _option("output", "the page to make", name="html", short="o", type=Path, metavar="PAGE"),
        _option("png", "a contact sheet to make", type=Path, metavar="FILE"),
        *_sided(),
        *_sided("other"),
        _option("items", "shown, at most", type=Between(int, 1, 500), default=24, show_default=True, metavar="N"),
        _option("seed", "which, where chance decides", type=int, default=0, show_default=True, metavar="N"),
        _option("label", "only items with an object of this label", name="labels", multiple=True, metavar="NAME"),
        _option(
            "pick",
            "items drawn by chance, those with most problems, or those that differ most [default: "
            "differences if there is OTHER, else sample]",
            type=["sample", "problems", "differences"],
        ),
        _option("images", "where pictures are [default: beside the labels]", type=Path, metavar="FOLDER"),
        _option("width", "of pictures", type=Between(int, 64, 1600), default=480, show_default=True, metavar="N"),
        _option("columns", "of the sheet", type=Between(int, 1, 20), default=4, show_default=True, metavar="N"),
        _flag("overwrite", "replace what is there"),
    ),
)

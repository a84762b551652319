"""Where the output of a run goes: one file or a folder, and what is put beside or into it.

A folder holds ``report.json`` and, if records were rejected, ``rejected.jsonl``; beside a file
``labels.json`` they are ``labels.report.json`` and ``labels.rejected.jsonl``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import output
from nucleus_convert.converters.errors import OutputExistsError, Where, WriteError
from nucleus_convert.converters.protocol import Spec

TOOL = "nucleus-convert"


class Layout(msgspec.Struct, frozen=True):
    """A target and its companions."""

    final: Path
    is_file: bool

    @property
    def report(self) -> Path:
        """Where the report goes."""
        return self._companion("report.json")

    @property
    def rejected(self) -> Path:
        """Where rejected records go."""
        return self._companion("rejected.jsonl")

    def _companion(self, name: str) -> Path:
        if self.is_file:
            return self.final.with_name(f"{self.final.stem}.{name}")
        return self.final / name

    def staged(self, staging: Path) -> Layout:
        """The same layout within a staging folder."""
        return Layout(staging / self.final.name, self.is_file)


def of(target: Path, spec: Spec) -> Layout:
    """Whether the target is to be a file or a folder."""
    if spec.layout == "either":
        return Layout(target, names_file(target))
    return Layout(target, spec.layout == "file")


def names_file(target: Path) -> bool:
    """Whether a target that may be either is a file: one with a suffix, unless there is a folder of that name."""
    return bool(target.suffix) and not target.is_dir()


def check(layout: Layout, source: Path | None, *, overwrite: bool) -> None:
    """Raise unless the run may write there. Nothing is overwritten but what this program wrote.

    Raises:
        OutputExistsError: something is there, and ``overwrite`` was not given.
        WriteError: it cannot be written, or holds what a run did not put there.
    """
    final, where = layout.final, Where(file=str(layout.final))
    if not final.name:
        raise WriteError("the target has no name", where, hint="name a file or folder to make")
    if final.exists() and layout.is_file == final.is_dir():
        is_, makes = ("folder", "file") if layout.is_file else ("file", "folder")
        raise WriteError(
            f"the target is a {is_}, and this format makes a {makes}", where, hint="choose another"
        )
    if source is not None and source.resolve().is_relative_to(final.resolve()):
        raise WriteError("the source is in the target", where, hint="choose another target")
    output.check_target(final, overwrite=overwrite)
    if layout.is_file:
        if layout.report.exists() and not overwrite:
            output.check_target(layout.report, overwrite=False)
    elif final.is_dir():
        _check_ours(final)


def _check_ours(folder: Path) -> None:
    """Raise if the folder holds a file that is not named in its report: replacing it would delete that."""
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    made: set[str] = set()
    with suppress(OSError, ValueError, KeyError, TypeError):
        report: Any = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        if report["tool"]["name"] == TOOL:
            made = {"report.json", "rejected.jsonl", *(entry["file"] for entry in report["outputs"])}
    if strange := sorted(present - made):
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise WriteError(
            f"refusing to replace a folder with files that {TOOL} did not make: {strange[0]}{more}",
            Where(file=str(folder)),
            hint="move them away, or choose another target",
        )


def listing(staged: Layout, written: Iterable[Path]) -> list[dict[str, Any]]:
    """Name and size of each file written, by name."""
    root = staged.final.parent if staged.is_file else staged.final
    above = len(root.parts)
    # By their parts, as paths are sorted, but without a call for every comparison: they may be very many.
    return [
        {"file": "/".join(path.parts[above:]), "bytes": path.stat().st_size}
        for path in sorted(set(written), key=lambda path: path.parts)
    ]


def commit(staged: Layout, final: Layout, written: Iterable[Path], *, overwrite: bool) -> None:
    """Move everything into place, the target itself last.

    Raises:
        OutputExistsError: a file written beside the target exists already.
        WriteError: a move failed.
    """
    if not staged.is_file:
        output.commit(staged.final, final.final)
        return
    beside = [*(path for path in sorted(set(written)) if path != staged.final), staged.report]
    if staged.rejected.exists():
        beside.append(staged.rejected)
    elif overwrite:
        final.rejected.unlink(missing_ok=True)  # of the run that is overwritten
    moves = [(path, final.final.parent / path.relative_to(staged.final.parent)) for path in beside]
    for _, target in moves:
        if target.exists() and not overwrite:
            raise OutputExistsError(
                "this file exists already",
                Where(file=str(target)),
                hint="choose another target, or give --overwrite",
            )
    for path, target in moves:
        target.parent.mkdir(parents=True, exist_ok=True)
        output.commit(path, target)
    output.commit(staged.final, final.final)

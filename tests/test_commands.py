"""Runs the command lines in tests/commands/*.md, which are documentation too.

In a ``console`` block, ``$ `` begins a command; the lines after it are what it prints on stdout, those after
``2> `` what it prints on stderr, and ``=> N`` is its exit code, 0 if there is none. ``...`` stands for any
lines, or any part of a line. All blocks of a file run in one folder, which begins as a copy of ``fixtures``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "tests/commands").glob("*.md"))


class Step(NamedTuple):
    """A command, and what it is to do."""

    line: int
    command: str
    out: list[str]
    err: list[str]
    code: int


def steps(text: str) -> list[Step]:
    """The commands of a Markdown text."""
    made: list[Step] = []
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith("$ "):
            made.append(Step(number, line[2:], [], [], 0))
        elif inside and line.startswith("=> "):
            made[-1] = made[-1]._replace(code=int(line[3:]))
        elif inside and line.startswith("2> "):
            made[-1].err.append(line[3:])
        elif inside:
            made[-1].out.append(line)
    return made


def matches(said: list[str], expected: list[str]) -> bool:
    """Whether lines are as expected, where ``...`` stands for any lines, or any part of one."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in said)) is not None


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_commands_do_what_is_documented(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(ROOT / "fixtures", folder)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("convert", "nucleus-convert"):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nucleus_convert "$@"\n')
        (commands / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
    env.pop("FORCE_COLOR", None)
    found = steps(path.read_text(encoding="utf-8"))
    assert found
    for step in found:
        result = subprocess.run(
            step.command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=120
        )
        said = (result.returncode, result.stdout.splitlines(), result.stderr.splitlines())
        fits = result.returncode == step.code and matches(said[1], step.out) and matches(said[2], step.err)
        assert fits, (
            f"{path.name}:{step.line}: $ {step.command}\ngave {said}\nnot  {(step.code, step.out, step.err)}"
        )


def test_the_files_are_found() -> None:
    assert len(FILES) >= 2


@pytest.mark.parametrize(
    ("said", "expected", "fits"),
    [
        ([], [], True),
        (["a"], [], False),
        ([], ["a"], False),
        (["a", "b"], ["a", "b"], True),
        (["a", "b", "c"], ["a", "..."], True),
        (["a", "b", "c"], ["...", "c"], True),
        (["a", "b", "c"], ["...", "b"], False),
        (["a.b"], ["a...b"], True),
        (["axb"], ["a.b"], False),
        (["a 12 b"], ["a ... b"], True),
    ],
)
def test_matching(said: list[str], expected: list[str], fits: bool) -> None:
    assert matches(said, expected) is fits


def test_steps_are_read() -> None:
    text = "text\n```console\n$ a\nout\n2> err\n=> 3\n$ b\n```\n```toml\n$ no\n```\n"
    assert steps(text) == [Step(3, "a", ["out"], ["err"], 3), Step(7, "b", [], [], 0)]

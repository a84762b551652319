"""Nucleus files made by hand and what they are read as; a data set of everything and what it becomes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert.converters import fit, ir, nucleus, png
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report

ACCEPT = bool(os.environ.get("ACCEPT"))


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("case", ["exported", "payloads", "written/out"])
def test_what_is_read(fixtures: Path, tmp_path: Path, case: str) -> None:
    source = fixtures / "nucleus" / case
    if case == "exported":
        source = source / "export.json"
    expected = fixtures / "nucleus" / case.partition("/")[0] / "expected.ndjson"
    assert nucleus.sniff(source) is None
    labels = nucleus.read(source, options=nucleus.ReadOptions(), report=Report())
    made = tmp_path / "made.ndjson"
    ir.write(labels, Target(made, made), options=ir.WriteOptions(), report=Report())
    if ACCEPT:
        shutil.copyfile(made, expected)
    assert lines(made) == lines(expected)


def test_what_is_written(fixtures: Path, tmp_path: Path) -> None:
    source = ir.read(fixtures / "ir/everything/labels.ndjson", options=ir.ReadOptions(), report=Report())
    report = Report()
    nucleus.write(
        fit.fitted(source, nucleus.SPEC, report),
        Target(tmp_path, Path("out")),
        options=nucleus.WriteOptions(),
        report=report,
    )
    report.ledger.check()
    expected = fixtures / "nucleus/written/out"
    if ACCEPT:
        shutil.rmtree(expected, ignore_errors=True)
        shutil.copytree(tmp_path, expected)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert names == sorted(
        path.relative_to(expected).as_posix() for path in expected.rglob("*") if path.is_file()
    )
    for name in names:
        made, wanted = (tmp_path / name).read_bytes(), (expected / name).read_bytes()
        if name.endswith(".png"):
            assert png.decode(made).tolist() == png.decode(wanted).tolist()
        else:
            assert made.decode() == wanted.decode()

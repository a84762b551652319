"""docs/json.md against what ``--json`` says: no key that is not there, and none there that never comes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert.cli import run

ROOT = Path(__file__).resolve().parent.parent
PARK = ROOT / "examples/park/annotations/instances.json"


def documented(command: str) -> set[str]:
    text = (ROOT / "docs/json.md").read_text(encoding="utf-8")
    section = text.split(f"## `convert {command} --json`")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    return {path for cell in cells for path in re.findall(r"`([^`]+)`", cell)}


def paths(value: Any, path: str = "") -> Iterator[list[str]]:
    """The places of all values, each as steps, the list's as []."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            for rest in paths(inner):
                yield [key, *rest]
    elif isinstance(value, list) and value:
        for inner in value:
            for rest in paths(inner):
                yield ["[]", *rest]
    else:
        yield []


def steps(pattern: str) -> list[str]:
    return [step for part in pattern.split(".") for step in re.findall(r"\[\]|[^\[\]]+", part)]


def covers(pattern: list[str], path: list[str]) -> bool:
    return len(pattern) <= len(path) and all(
        one in ("*", other) for one, other in zip(pattern, path[: len(pattern)], strict=True)
    )


def odd(tmp_path: Path) -> Path:
    """The example with something of everything that ``check`` and ``diff`` can say."""
    data = json.loads(PARK.read_text(encoding="utf-8"))
    data["annotations"][0]["bbox"] = [5000, 1, 5, 5]
    data["annotations"][1]["bbox"] = "x"
    data["annotations"][2]["attributes"] = {"fresh": True}
    data["annotations"][3]["bbox"][0] += 5
    data["images"][4]["date_captured"] = "later"
    data["categories"][0]["supercategory"] = "other"
    gone = data["images"].pop()["id"]
    data["annotations"] = [row for row in data["annotations"][:-1] if row["image_id"] != gone]
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["inspect", "check", "diff"])
def test_json_is_as_documented(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = tmp_path / "masks.jsonl"
    run(["coco2rle", str(PARK), "-o", str(masks), "-q"])
    changed, kitti = odd(tmp_path), ROOT / "fixtures/kitti/tracking"
    runs: list[list[Any]] = {
        "inspect": [
            [PARK],
            [changed],
            [kitti],
            [ROOT / "fixtures/ir/everything/labels.ndjson"],
            [PARK.with_name("results_bbox.json")],
        ],
        "check": [[changed], [kitti], [ROOT / "fixtures/nucleus/payloads"]],
        "diff": [[one, other, "--on-error", "skip"] for one, other in ((PARK, changed), (changed, PARK))]
        + [[PARK, kitti], [PARK, masks]],
    }[command]
    patterns = {pattern: steps(pattern) for pattern in documented(command)}
    seen: set[str] = set()
    for given in runs:
        run([command, *map(str, given), "--json"])
        for path in paths(json.loads(capsys.readouterr().out)):
            # An empty list or mapping may be above what is documented.
            found = {name for name, wanted in patterns.items() if covers(wanted, path) or covers(path, wanted)}
            assert found, f"{path} is not in docs/json.md"
            seen |= {name for name in found if covers(patterns[name], path)}
    assert seen == patterns.keys()

"""The README's Python does what it says, as pasted, on the bundled example."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_library_example_runs(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    source = ROOT / "examples/park/annotations/instances.json"
    shutil.copy(source, tmp_path / "instances.json")
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    run = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    large = {row["id"] for row in json.loads(source.read_text())["annotations"] if row["area"] >= 1000}
    kept = json.loads((tmp_path / "large.json").read_text())["annotations"]
    assert {row["id"] for row in kept} == large
    assert 0 < len(large) < 34
    report = json.loads((tmp_path / "large.report.json").read_text())
    assert report["balance"]["object"]["dropped"] == 34 - len(large)
    assert any(finding["code"] == "filtered" for finding in report["findings"])


def test_what_the_first_command_prints_is_what_the_readme_shows(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shutil.copytree(ROOT / "examples/park", tmp_path / "examples/park")
    command = [sys.executable, "-m", "nucleus_convert", "coco2nucleus", "examples/park/annotations/instances.json"]
    run = subprocess.run(
        [*command, "-o", "nucleus"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.strip() in text
    shown = set(re.findall(r"`nucleus/([a-z.*/]+)`", text)) - {"predictions.jsonl"}
    assert all(list((tmp_path / "nucleus").glob(name)) for name in shown), shown

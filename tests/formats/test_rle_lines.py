"""What tells a file of masks from others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert.formats.rle import opens_like_rle

MASK = {"size": [4, 5], "counts": [1, 2, 17]}
LONG = " " * (1 << 20)
"""More than is looked at."""


@pytest.mark.parametrize(
    ("line", "alike"),
    [
        (MASK, True),
        ({"image": "a.jpg", "segmentation": MASK}, True),
        ({"counts": LONG, "size": [4, 5]}, True),
        ({"image": {"size": [1]}, "size": [4, 5], "counts": LONG}, True),
        ({"image": "a.jpg", "segmentation": {"counts": LONG, "size": [4, 5]}}, True),
        ({"image": "a.jpg", "segmentation": {"size": [4, 5], "counts": LONG}}, True),
        ({"size": [4, 5]}, False),
        ({"size": [4, 5], "note": LONG}, False),
        ({"annotations": [{"segmentation": MASK}], "images": []}, False),
        ({"annotations": [{"segmentation": MASK}], "images": [], "note": LONG}, False),
        ({"segmentation": [MASK], "note": LONG}, False),
        ({"note": '{"size": 1, "counts": 2, ' + LONG}, False),
        ([MASK], False),
    ],
    ids=lambda value: json.dumps(value).replace(LONG, "...") if not isinstance(value, bool) else "",
)
def test_the_first_line_tells(tmp_path: Path, line: Any, alike: bool) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert opens_like_rle(path) is alike

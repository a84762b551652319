"""Lines for a terminal: folded below their last column, and nothing in them that a terminal obeys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.converters.wording import folded, printable

PROBLEM = "ERROR    off-image  box lies wholly outside the image (worst pixels: 4,645), e.g. item 0.jpg, annotation 3"


def test_lines_go_on_below_their_last_column() -> None:
    assert folded(PROBLEM, 60) == [
        "ERROR    off-image  box lies wholly outside the image (worst",
        "                    pixels: 4,645), e.g. item 0.jpg,",
        "                    annotation 3",
    ]
    assert folded("  ~ car 12: box 22 px, IoU 0.6528; label 'car' -> 'bird'", 40) == [
        "  ~ car 12: box 22 px, IoU 0.6528; label",
        "    'car' -> 'bird'",
    ]
    assert folded("error: no such file", 80) == ["error: no such file"]
    assert folded(PROBLEM, 20) == [PROBLEM]


def test_names_of_files_are_not_broken() -> None:
    path = "/" + "very-long-name/" * 12
    assert path in folded(f"error: {path}: no such file", 60)[1]


@given(st.text(st.characters(codec="utf-8"), max_size=300), st.integers(1, 120))
def test_no_word_is_lost(text: str, width: int) -> None:
    line = printable(text)
    assert line.isprintable()
    assert " ".join(folded(line, width)).split() == line.split()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals to open on this system")
def test_a_terminal_is_not_obeyed_and_not_overrun(tmp_path: Path) -> None:
    """What a data set says is written out, on a terminal that would move its cursor or change its title."""
    path = tmp_path / "coco.json"
    name = "\x1b]0;evil\x07\x1b[2J\u202e" + " and more words" * 9
    data = {
        "images": [{"id": 1, "file_name": name, "width": 4, "height": 4}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 9, 1, 1]}],
        "categories": [{"id": 1, "name": name}],
    }
    path.write_text(json.dumps(data))
    import pty

    for command in (["check", str(path)], ["coco2voc", str(path), "--dry-run", "-v"], ["diff", str(path), str(path)]):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "nucleus_convert", *command],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            cwd=tmp_path,
            env={**os.environ, "NO_COLOR": "1", "TERM": "dumb"},
        ):
            os.close(theirs)
            said = b""
            try:
                while more := os.read(ours, 4096):
                    said += more
            except OSError:  # what a terminal says at its end
                pass
        os.close(ours)
        text = said.decode()
        assert "\x07" not in text
        assert "\x1b]" not in text
        assert "\u202e" not in text
        assert command[0] == "diff" or "\\x1b]0;evil\\x07" in text

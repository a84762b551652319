"""CVAT XML to Nucleus: a large file of images and a long video, beside a bare parser and other converters.

    python benchmarks/cvat.py --smoke
    python benchmarks/cvat.py --images 100000 --frames 20000 --tracks 200 --peers /tmp/peers/bin/python

Peers (labelformat, datumaro: those installed for that Python) write COCO, the nearest they have; labelformat keeps only
boxes, datumaro wants the pictures to be there. Each run is a process of its own. Seconds are of processor time, of all
its processes together, and of the clock; the best of --rounds counts, and memory is the peak of the largest process.
All are held against lxml's iterparse over the same file in the same round, with nothing done but parsing: once the
plainest loop there is, which is told of every element's end and clears it, and once told only of images or tracks.
Ours does not look at its output again, as peers do not, but for the line "checked".
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import cvat_data

PLAIN = "lxml iterparse, plain loop"
BARE = "lxml iterparse, told of images only"
OURS = """
import sys
from nucleus_convert.converters import pipeline
if __name__ == "__main__":
    how = {"workers": int(sys.argv[3]) or None, "verify": sys.argv[4], "mask_url_prefix": "masks/"}
    pipeline.convert(sys.argv[1], sys.argv[2], source="cvat", **how)
"""
EVERY = """
import sys
from lxml import etree
for _, element in etree.iterparse(sys.argv[1]):
    element.clear()
"""
ITERPARSE = """
import sys
from lxml import etree
options = dict(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
for _, element in etree.iterparse(sys.argv[1], tag=("image", "track"), **options):
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]
"""
EXPAT = """
import sys
from xml.parsers import expat
parser = expat.ParserCreate()
parser.buffer_text = parser.ordered_attributes = True
parser.StartElementHandler = lambda tag, attributes: None
parser.EndElementHandler = lambda tag: None
parser.CharacterDataHandler = lambda text: None
with open(sys.argv[1], "rb") as file:
    parser.ParseFile(file)
"""
PEERS = {
    "labelformat (boxes, to COCO)": """
import sys
from pathlib import Path
from labelformat.formats import COCOObjectDetectionOutput, CVATObjectDetectionInput
source = CVATObjectDetectionInput(input_file=Path(sys.argv[1]))
COCOObjectDetectionOutput(output_file=Path(sys.argv[2] + ".json")).save(label_input=source)
""",
    "datumaro (to COCO)": """
import os, sys
from datumaro import Dataset
Dataset.import_from(os.path.dirname(sys.argv[1]), "cvat").export(sys.argv[2], "coco", save_media=False)
""",
}
_PEAK = """
if __name__ == "__main__":
    from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
    print(max(getrusage(who).ru_maxrss for who in (RUSAGE_SELF, RUSAGE_CHILDREN)) / 1024)
"""


class Taken(NamedTuple):
    """What a run took: processor seconds, seconds by the clock, megabytes at its peak."""

    cpu: float
    wall: float
    megabytes: float


def measure(python: str, code: str, args: list[str]) -> Taken | None:
    """Run a script in a process of its own; None if it failed."""
    with tempfile.TemporaryDirectory() as place:
        script = Path(place, "script.py")  # a file, which workers can import
        script.write_text(code + _PEAK, encoding="utf-8")
        before, begun = os.times(), time.perf_counter()
        command = [python, str(script), *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        wall, after = time.perf_counter() - begun, os.times()
    if done.returncode:
        print(f"  failed: {done.stderr.strip().splitlines()[-1:]}")
        return None
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Taken(cpu, wall, float(done.stdout.split()[-1]))


def digest(folder: Path) -> str:
    """One number for all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:  # never held: a child's peak begins with what its parent holds
            total.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def has(python: str, peer: str) -> bool:
    """Whether a peer is installed for that Python."""
    command = [python, "-c", f"import {peer.split()[0]}"]
    return not subprocess.run(command, capture_output=True, check=False, cwd="/").returncode


def compare(source: Path, title: str, peers: list[str], rounds: int) -> bool:
    """Measure everything on one file and print a table; whether the output never differed."""
    out = source.parent.parent / "out"
    rows = [
        (PLAIN, sys.executable, EVERY, []),
        (BARE, sys.executable, ITERPARSE, []),
        ("expat, empty handlers", sys.executable, EXPAT, []),
        ("nucleus-convert, 1 worker", sys.executable, OURS, ["1", "none"]),
        ("nucleus-convert, 2 workers", sys.executable, OURS, ["2", "none"]),
        ("nucleus-convert as called by default, checked", sys.executable, OURS, ["0", "auto"]),
    ]
    rows += [(name, python, code, []) for python in peers for name, code in PEERS.items() if has(python, name)]
    best: dict[str, Taken] = {}
    digests: set[str] = set()
    for number in range(rounds):
        for name, python, code, options in rows:
            # Nothing is deleted on the way: making files where others just were takes ext4 ten times as long.
            made = out / f"{number}-{len(name)}-{name[:15]}" / "made"
            made.parent.mkdir(parents=True)
            taken = measure(python, code, [str(source), str(made), *options])
            if taken is None:
                continue
            if options[1:] == ["none"]:
                digests.add(digest(made))
            had = best.get(name, Taken(float("inf"), float("inf"), 0.0))
            best[name] = Taken(
                min(had.cpu, taken.cpu), min(had.wall, taken.wall), max(had.megabytes, taken.megabytes)
            )
    shutil.rmtree(out)
    print(f"\n{title}, {source.stat().st_size / 1e6:.0f} MB, best of {rounds}\n")
    print("| | CPU s | x plain loop | clock s | x plain loop | x told of images only | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    plain, bare = best[PLAIN], best[BARE]
    for name, taken in best.items():
        cpu = f"{taken.cpu:.2f} | {taken.cpu / plain.cpu:.2f}"
        wall = f"{taken.wall:.2f} | {taken.wall / plain.wall:.2f} | {taken.wall / bare.wall:.2f}"
        print(f"| {name} | {cpu} | {wall} | {taken.megabytes:.0f} |")
    if len(digests) > 1:
        print(f"OUTPUT DIFFERS with the workers: {digests}")
    return len(digests) == 1


def main() -> int:
    """Generate, run it all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--frames", type=int, default=2_000)
    parser.add_argument("--tracks", type=int, default=200)
    parser.add_argument("--dense", action="store_true", help="the video lists every frame, as CVAT's exports do")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", action="append", default=[], help="a Python that has labelformat or datumaro")
    parser.add_argument("--smoke", action="store_true", help="a handful, one round: does it run?")
    given = parser.parse_args()
    if given.smoke:
        given.images, given.frames, given.tracks, given.rounds = 100, 60, 5, 1
    same = True
    with tempfile.TemporaryDirectory(prefix="cvat-benchmark-") as place:
        if given.images:
            source = Path(place, "images", "annotations.xml")
            source.parent.mkdir()
            shapes = cvat_data.images(source, given.images)
            if given.peers:
                cvat_data.pictures(source.parent / "images", given.images)
            title = f"{given.images:,} images, {shapes:,} shapes and tags"
            same &= compare(source, title, given.peers, given.rounds)
        if given.frames:
            source = Path(place, "video", "annotations.xml")
            source.parent.mkdir()
            shapes = cvat_data.video(source, given.frames, given.tracks, dense=given.dense)
            title = f"a video of {given.frames:,} frames, {given.tracks} tracks, {shapes:,} shapes listed"
            same &= compare(source, title, given.peers, given.rounds)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())

"""CVAT XML to Nucleus: a large file of images and a long video, beside a bare parser and other converters.

    python benchmarks/cvat.py --smoke
    python benchmarks/cvat.py --images 100000 --frames 20000 --tracks 200 --peers /tmp/peers/bin/python

Peers (labelformat, datumaro: those installed for that Python) write COCO, the nearest they have; labelformat keeps only
boxes, datumaro wants the pictures to be there. Each run is a process of its own. Seconds are of processor time, of all
its processes together, and of the clock; the best of --rounds counts, and memory is the peak of the largest process.
All are held against lxml's iterparse over the same file in the same round, with nothing done but parsing.
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

BARE = "lxml iterparse, bare"
OURS = """
import sys
from nucleus_convert.converters import pipeline
if __name__ == "__main__":
    pipeline.convert(sys.argv[1], sys.argv[2], source="cvat", workers=int(sys.argv[3]), verify="none", overwrite=True)
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


def compare(source: Path, title: str, peers: str | None, rounds: int) -> bool:
    """Measure everything on one file and print a table; whether the output never differed."""
    out = source.parent.parent / "out"
    rows = [
        (BARE, sys.executable, ITERPARSE, "1"),
        ("expat, empty handlers", sys.executable, EXPAT, "1"),
        ("nucleus-convert, 1 worker", sys.executable, OURS, "1"),
        ("nucleus-convert, 2 workers", sys.executable, OURS, "2"),
    ]
    if peers:
        rows += [(name, peers, code, "1") for name, code in PEERS.items()]
    best: dict[str, Taken] = {}
    digests: set[str] = set()
    for _ in range(rounds):
        for name, python, code, workers in rows:
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            taken = measure(python, code, [str(source), str(out / "made"), workers])
            if taken is None:
                continue
            if code == OURS:
                digests.add(digest(out / "made"))
            had = best.get(name, Taken(float("inf"), float("inf"), 0.0))
            best[name] = Taken(
                min(had.cpu, taken.cpu), min(had.wall, taken.wall), max(had.megabytes, taken.megabytes)
            )
    print(f"\n{title}, {source.stat().st_size / 1e6:.0f} MB, best of {rounds}\n")
    print("| | CPU s | x iterparse | clock s | x iterparse | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    bare = best[BARE]
    for name, taken in best.items():
        ratios = f"{taken.cpu:.2f} | {taken.cpu / bare.cpu:.2f} | {taken.wall:.2f} | {taken.wall / bare.wall:.2f}"
        print(f"| {name} | {ratios} | {taken.megabytes:.0f} |")
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
    parser.add_argument("--peers", help="the Python that has labelformat and datumaro")
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

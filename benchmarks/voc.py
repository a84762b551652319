"""VOC to Nucleus over many small files, beside other converters, and what of it is opening files.

    python benchmarks/voc.py --smoke
    python benchmarks/voc.py --files 20000 --peers /tmp/peers/bin/python

Peers (labelformat, globox, datumaro: those installed for that Python) write COCO, the nearest they have.
Each run is a process of its own: seconds of wall time, the best of --rounds, and its peak memory.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = ("person", "car", "dog", "chair", "bottle", "cat", "bird", "train")
HEAD = """<annotation>
\t<folder>VOC2012</folder>
\t<filename>{name}.jpg</filename>
\t<source>
\t\t<database>The VOC2012 Database</database>
\t\t<annotation>PASCAL VOC2012</annotation>
\t\t<image>flickr</image>
\t</source>
\t<size>
\t\t<width>{width}</width>
\t\t<height>{height}</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
"""
OBJECT = """\t<object>
\t\t<name>{name}</name>
\t\t<pose>{pose}</pose>
\t\t<truncated>{truncated}</truncated>
\t\t<difficult>{difficult}</difficult>
\t\t<bndbox>
\t\t\t<xmin>{xmin}</xmin>
\t\t\t<ymin>{ymin}</ymin>
\t\t\t<xmax>{xmax}</xmax>
\t\t\t<ymax>{ymax}</ymax>
\t\t</bndbox>
\t</object>
"""
OURS = """
import sys
from nucleus_convert.converters import pipeline
if __name__ == "__main__":
    pipeline.convert(sys.argv[1], sys.argv[2], source="voc", workers=int(sys.argv[3]), verify="none")
"""
FLOOR = """
import os, sys
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    with open(entry.path, "rb") as file:
        file.read()
"""
ETREE = """
import os, sys
from xml.etree import ElementTree
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    ElementTree.parse(entry.path)
"""
LXML = """
import os, sys
from lxml import etree
parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    etree.parse(entry.path, parser)
"""
EXPAT = """
import os, sys
from nucleus_convert.formats.voc import parse
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    with open(entry.path, "rb") as file:
        parse(file.read())
"""
QUICK = """
import os, sys
from nucleus_convert.formats.voc import Reader
reader = Reader()
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    with open(entry.path, "rb") as file:
        reader.quick(file.read())
"""
PEERS = {
    "labelformat": """
import sys
from pathlib import Path
from labelformat.formats import COCOObjectDetectionOutput, PascalVOCObjectDetectionInput
source = Path(sys.argv[1])
label_input = PascalVOCObjectDetectionInput(input_folder=source / "Annotations", category_names=sys.argv[4])
COCOObjectDetectionOutput(output_file=Path(sys.argv[2] + ".json")).save(label_input=label_input)
""",
    "globox": """
import sys
from globox import AnnotationSet
AnnotationSet.from_pascal_voc(sys.argv[1] + "/Annotations").save_coco(sys.argv[2] + ".json", auto_ids=True)
""",
    "datumaro": """
import sys
from datumaro import Dataset
Dataset.import_from(sys.argv[1], "voc").export(sys.argv[2], "coco_instances", save_media=False)
""",
}


def generate(root: Path, count: int) -> None:
    """Write ``count`` annotation files of the development kit's kind, the same each time."""
    rng = random.Random(12)
    folder = root / "Annotations"
    folder.mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for number in range(count):
        width, height = rng.choice([(500, 375), (375, 500), (640, 480)])
        text = HEAD.format(name=f"{number:06d}", width=width, height=height)
        for _ in range(min(1 + int(rng.expovariate(0.5)), 20)):
            x, y = rng.randint(1, width - 20), rng.randint(1, height - 20)
            text += OBJECT.format(
                name=rng.choice(NAMES),
                pose=rng.choice(["Unspecified", "Unspecified", "Left", "Right", "Frontal"]),
                truncated=rng.randint(0, 1),
                difficult=int(rng.random() < 0.1),
                xmin=x,
                ymin=y,
                xmax=rng.randint(x + 5, width),
                ymax=rng.randint(y + 5, height),
            )
        (folder / f"{number:06d}.xml").write_text(text + "</annotation>\n")
    listing = "".join(f"{number:06d}\n" for number in range(count))
    (root / "ImageSets" / "Main" / "train.txt").write_text(listing)


def run(python: str, code: str, args: list[str], out: Path) -> tuple[float, float] | None:
    """Wall seconds and peak megabytes of a process (the largest of its family), or None if it failed."""
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as script:
        script.write(code + _PEAK)
    try:
        begun = time.perf_counter()
        command = [python, script.name, *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        taken = time.perf_counter() - begun
    finally:
        os.unlink(script.name)  # noqa: PTH108
    if done.returncode:
        print(f"  failed: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return taken, float(done.stdout.split()[-1])


_PEAK = """
if __name__ == "__main__":
    from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
    print(max(getrusage(who).ru_maxrss for who in (RUSAGE_SELF, RUSAGE_CHILDREN)) / 1024)
"""


def digest(folder: Path) -> str:
    """One number for all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:16]


def main() -> int:
    """Run it all and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", help="the Python that has labelformat, globox, datumaro")
    parser.add_argument("--smoke", action="store_true", help="200 files, one round: does it run?")
    given = parser.parse_args()
    files, rounds = (200, 1) if given.smoke else (given.files, given.rounds)
    with tempfile.TemporaryDirectory(prefix="voc-benchmark-") as place:
        root, out = Path(place, "source"), Path(place, "out")
        generate(root, files)
        here = sys.executable
        rows = [
            ("open + read", here, FLOOR, "1"),
            ("xml.etree alone", here, ETREE, "1"),
            ("lxml alone", here, LXML, "1"),
            ("expat, our values, alone", here, EXPAT, "1"),
            ("templates, alone", here, QUICK, "1"),
            ("nucleus-convert, 1 worker", here, OURS, "1"),
            ("nucleus-convert, 2 workers", here, OURS, "2"),
        ]
        if given.peers:
            rows += [(name, given.peers, code, "1") for name, code in PEERS.items()]
        best: dict[str, tuple[float, float]] = {}
        digests: set[str] = set()
        print(f"{files:,} files, best of {rounds}")
        for _ in range(rounds):
            for name, python, code, workers in rows:
                taken = run(python, code, [str(root), str(out), workers, ",".join(NAMES)], out)
                if taken is None:
                    continue
                if name.startswith("nucleus-convert"):
                    digests.add(digest(out))
                had = best.get(name, (float("inf"), 0.0))
                best[name] = min(had[0], taken[0]), max(had[1], taken[1])
        ours = best["nucleus-convert, 2 workers"]
        for name, (seconds, megabytes) in best.items():
            print(f"{name:28} {seconds:7.2f} s  {seconds / ours[0]:6.2f} x ours  {megabytes:6.0f} MB")
        print("output the same whatever the workers:", "yes" if len(digests) == 1 else f"NO: {digests}")
        peers = [best[name][0] for name in PEERS if name in best]
        if peers:
            print(f"quickest peer / ours at 2 workers: {min(peers) / ours[0]:.1f}")
        return 0 if len(digests) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())

"""VOC to Nucleus over many small files, beside other converters, and what of it is opening files.

    python benchmarks/voc.py --smoke
    python benchmarks/voc.py --files 20000

Peers (labelformat, globox, datumaro) write COCO, the nearest they have: none writes Nucleus. See many.py for how it is
measured.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import many

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
ALONE = {
    many.FLOOR: """
import os, sys
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    with open(entry.path, "rb") as file:
        file.read()
""",
    "xml.etree alone": """
import os, sys
from xml.etree import ElementTree
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    ElementTree.parse(entry.path)
""",
    "lxml alone": """
import os, sys
from lxml import etree
parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    etree.parse(entry.path, parser)
""",
    "expat, our values, alone": """
import os, sys
from nucleus_convert.formats.voc import parse
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    with open(entry.path, "rb") as file:
        parse(file.read())
""",
    "templates alone": """
import os, sys
from nucleus_convert.formats.voc import Reader
reader = Reader()
for entry in os.scandir(sys.argv[1] + "/Annotations"):
    with open(entry.path, "rb") as file:
        reader.quick(file.read())
""",
}
PEERS = {
    "labelformat": f"""
import sys
NAMES = {NAMES!r}
from pathlib import Path
from labelformat.formats import COCOObjectDetectionOutput, PascalVOCObjectDetectionInput
source = Path(sys.argv[1])
label_input = PascalVOCObjectDetectionInput(input_folder=source / "Annotations", category_names=",".join(NAMES))
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


if __name__ == "__main__":
    sys.exit(many.main("voc", generate, ALONE, PEERS, __doc__))

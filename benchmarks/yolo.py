"""YOLO to Nucleus over many small label files, beside other converters, and what of it is opening files.

    python benchmarks/yolo.py --smoke
    python benchmarks/yolo.py --files 20000

The floor is opening and reading every label file, and nothing else. Peers (labelformat, globox, datumaro) write COCO,
the nearest they have: none writes Nucleus. Images are headers and next to no pixels: nobody decodes them. See many.py
for how it is measured.
"""

from __future__ import annotations

import random
import struct
import sys
import zlib
from pathlib import Path

import many

SIZES = [(640, 480), (480, 640), (500, 375), (1280, 720)]
CLASSES = 20
ALONE = {
    many.FLOOR: """
import io, os, sys
folder = sys.argv[1] + "/labels/train/"
total = 0
for name in sorted(os.listdir(folder)):
    with io.FileIO(folder + name) as file:
        total += len(file.readall())
""",
}
PEERS = {
    "labelformat": """
import sys
from pathlib import Path
from labelformat.formats import YOLOv8ObjectDetectionInput, COCOObjectDetectionOutput
labels = YOLOv8ObjectDetectionInput(input_file=Path(sys.argv[1]) / "data.yaml", input_split="train")
COCOObjectDetectionOutput(output_file=Path(sys.argv[2] + ".json")).save(label_input=labels)
""",
    "datumaro": """
import sys
from datumaro.components.dataset import Dataset
Dataset.import_from(sys.argv[1], "yolo").export(sys.argv[2], "coco_instances", save_media=False)
""",
    "globox": """
import sys
from pathlib import Path
from globox import AnnotationSet
root = Path(sys.argv[1])
labels = AnnotationSet.from_yolo_v5(folder=root / "labels/train", image_folder=root / "images/train",
    image_extension=".png")
labels.save_coco(Path(sys.argv[2] + ".json"), auto_ids=True)
""",
}


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size: header, a little data that nobody reads, end."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def generate(root: Path, count: int) -> None:
    """Write an Ultralytics tree of ``count`` images, seven boxes on each on average."""
    random.seed(count)
    images, labels = root / "images" / "train", root / "labels" / "train"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    pictures = [png(*size) for size in SIZES]
    for number in range(count):
        (images / f"{number:06}.png").write_bytes(random.choice(pictures))
        lines = []
        for _ in range(random.randint(0, 14)):
            w, h = random.uniform(0.01, 0.5), random.uniform(0.01, 0.5)
            x, y = random.uniform(w / 2, 1 - w / 2), random.uniform(h / 2, 1 - h / 2)
            lines.append(f"{random.randrange(CLASSES)} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n")
        (labels / f"{number:06}.txt").write_text("".join(lines))
    names = "".join(f"  {number}: thing {number}\n" for number in range(CLASSES))
    (root / "data.yaml").write_text(f"train: images/train\nval: images/train\nnc: {CLASSES}\nnames:\n{names}")
    # Datumaro looks for Darknet's layout or a strict one of its own.
    (root / "obj.names").write_text("".join(f"thing {number}\n" for number in range(CLASSES)))


if __name__ == "__main__":
    sys.exit(many.main("yolo", generate, ALONE, PEERS, __doc__))

"""Time YOLO to Nucleus over many small label files, beside other Python tools and the floor.

    python benchmarks/yolo.py             20,000 label files, 3 runs each
    python benchmarks/yolo.py --smoke     tiny, once

The floor is opening and reading every label file, and nothing else. Peers make COCO of the same data set, as
none of them writes Nucleus; they live in other environments (--peer-python, more than one may be given), and
those that are absent are left out. Images are stored as headers of one pixel's worth: nobody decodes them.
Peak memory is that of the largest process of the command.
"""

from __future__ import annotations

import argparse
import filecmp
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

SIZES = [(640, 480), (480, 640), (500, 375), (1280, 720)]
CLASSES = 20
PEERS = ["/tmp/peers-yolo/bin/python", "/tmp/peers2/bin/python", "/tmp/peers/bin/python"]

FLOOR = """
import io, os, sys
folder = sys.argv[1] + "/labels/train/"
total = 0
for name in sorted(os.listdir(folder)):
    with io.FileIO(folder + name) as file:
        total += len(file.readall())
"""
LABELFORMAT = """
import sys
from pathlib import Path
from labelformat.formats import YOLOv8ObjectDetectionInput, COCOObjectDetectionOutput
labels = YOLOv8ObjectDetectionInput(input_file=Path(sys.argv[1]) / "data.yaml", input_split="train")
COCOObjectDetectionOutput(output_file=Path(sys.argv[2] + ".json")).save(label_input=labels)
"""
DATUMARO = """
import sys
from datumaro.components.dataset import Dataset
Dataset.import_from(sys.argv[1], "yolo").export(sys.argv[2], "coco_instances", save_media=False)
"""
GLOBOX = """
import sys
from pathlib import Path
from globox import AnnotationSet
root = Path(sys.argv[1])
labels = AnnotationSet.from_yolo_v5(folder=root / "labels/train", image_folder=root / "images/train",
    image_extension=".png")
labels.save_coco(Path(sys.argv[2] + ".json"), auto_ids=True)
"""


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


def measure(command: list[str]) -> tuple[float, float] | None:
    """Seconds and MB of the largest process; None if the command failed."""
    watch = (
        "import resource,subprocess,sys;"
        "code=subprocess.run(sys.argv[1:],stdout=-3,stderr=-3).returncode;"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024);sys.exit(code)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", watch, *command], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    return (seconds, float(done.stdout)) if done.returncode == 0 else None


def has(python: str, module: str) -> bool:
    """Whether an environment has a module."""
    if not Path(python).exists():
        return False
    return (
        subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
    )


def main() -> int:
    """Generate, measure, print; the exit status is 1 if a command of ours failed or outputs differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--peer-python", action="append", default=[])
    options = parser.parse_args()
    count, runs = (600, 1) if options.smoke else (options.images, options.runs)
    folder = Path(tempfile.mkdtemp(prefix="bench-yolo-"))
    source, failed = folder / "source", False
    try:
        generate(source, count)
        ours = [
            sys.executable,
            "-m",
            "nucleus_convert",
            "yolo2nucleus",
            str(source),
            "--overwrite",
            "--quiet",
        ]
        cases: list[tuple[str, list[str], bool]] = [
            ("floor", [sys.executable, "-c", FLOOR, str(source)], False)
        ]
        for workers in (1, 2):
            command = [*ours, "-o", str(folder / f"ours{workers}"), "--workers", str(workers)]
            cases.append((f"ours, {workers} workers", command, True))
        # Peers check nothing afterwards: this is the like of what they do.
        cases.append(("ours, 2 workers, no verify", [*command[:-4], "-o", str(folder / "fast"), "--no-verify",
                                                     "--workers", "2"], True))  # fmt: skip
        if not options.smoke:
            for name, module, code in (
                ("labelformat", "labelformat", LABELFORMAT),
                ("globox", "globox", GLOBOX),
                ("datumaro", "datumaro", DATUMARO),
            ):
                python = next((p for p in [*options.peer_python, *PEERS] if has(p, module)), None)
                if python is None:
                    print(f"{name}: absent, left out")
                    continue
                cases.append((name, [python, "-c", code, str(source), str(folder / name)], False))
        results: dict[str, tuple[float, float]] = {}
        for name, command, is_ours in cases:
            for run in range(runs if is_ours or name == "floor" else 1):
                if not is_ours:
                    shutil.rmtree(folder / name, ignore_errors=True)
                found = measure(command)
                if found is None:
                    print(f"{name}: failed")
                    failed = failed or is_ours
                    break
                if run == 0 or found[0] < results[name][0]:
                    results[name] = found
        print(f"\n{count:,} label files\n{'':28}{'s':>8}{'MB':>8}{'x floor':>9}{'x ours, 2 workers':>19}")
        base = results.get("ours, 2 workers", (1.0, 0.0))[0]
        for name, (seconds, memory) in results.items():
            ratio = seconds / results["floor"][0]
            print(f"{name:28}{seconds:8.2f}{memory:8.0f}{ratio:9.1f}{seconds / base:19.1f}")
        same = all(
            filecmp.cmp(path, folder / "ours2" / path.relative_to(folder / "ours1"), shallow=False)
            for path in (folder / "ours1").rglob("*")
            if path.is_file()
        )
        print(f"output with 1 and 2 workers: {'identical' if same else 'DIFFERENT'}")
        return int(failed or not same)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

"""Time KITTI to Nucleus: as many label files as the object benchmark has, and point clouds to JSON.

    python benchmarks/kitti.py             7,481 label files with calibrations, 3 runs each; clouds of 120,000 points
    python benchmarks/kitti.py --smoke     tiny, once

Label files: the floor is opening and reading every label and calibration file, and nothing else. Peak memory is that
of the largest process of the command, measured for the whole data set and for a tenth of it.

Clouds: beside ``json.dumps`` of a dictionary a point, as a script would do it, in CPU seconds of one process, each
from file to file. A lidar says millimetres; ``full`` is a cloud whose numbers use every digit a float32 has.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nucleus_convert.converters import pointclouds, pointtext

CALIB = """P0: 7.2e+02 0 6.1e+02 0 0 7.2e+02 1.7e+02 0 0 0 1 0
P1: 7.2e+02 0 6.1e+02 -3.9e+02 0 7.2e+02 1.7e+02 0 0 0 1 0
P2: 7.2e+02 0 6.1e+02 {:.12e} 0 7.2e+02 1.7e+02 2.0e-01 0 0 1 3.0e-03
P3: 7.2e+02 0 6.1e+02 -3.4e+02 0 7.2e+02 1.7e+02 2.0e+00 0 0 1 3.0e-03
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 -4.0e-03 0 0 -1 -7.6e-02 1 0 0 -2.7e-01
Tr_imu_to_velo: 1 0 0 -0.81 0 1 0 0.32 0 0 1 -0.8

"""
CLASSES = ["Car", "Car", "Car", "Van", "Pedestrian", "Cyclist", "Truck", "DontCare"]
FLOOR = """
import io, os, sys
total = 0
for folder in ("label_2", "calib"):
    folder = sys.argv[1] + "/training/" + folder + "/"
    for name in sorted(os.listdir(folder)):
        with io.FileIO(folder + name) as file:
            total += len(file.readall())
"""


def generate(root: Path, count: int) -> None:
    """Write a data set of ``count`` frames, seven objects in each on average, every tenth calibration its own."""
    dice = random.Random(count)
    labels, calibs = root / "training" / "label_2", root / "training" / "calib"
    labels.mkdir(parents=True)
    calibs.mkdir()
    for number in range(count):
        (calibs / f"{number:06}.txt").write_text(CALIB.format(45 + number // 10 / 1000), encoding="utf-8")
        rows = [row(dice, dice.choice(CLASSES)) for _ in range(dice.randint(0, 14))]
        (labels / f"{number:06}.txt").write_text("".join(rows), encoding="utf-8")


def row(dice: random.Random, label: str) -> str:
    """A label row with two decimals."""
    left, top = dice.uniform(0, 1100), dice.uniform(100, 200)
    box = f"{left:.2f} {top:.2f} {left + dice.uniform(5, 140):.2f} {top + dice.uniform(10, 150):.2f}"
    if label == "DontCare":
        return f"DontCare -1 -1 -10 {box} -1 -1 -1 -1000 -1000 -1000 -10\n"
    ranges = ((1.3, 3.3), (0.5, 2.6), (0.6, 10), (-20, 20), (1, 2), (4, 70), (-3.14, 3.14))
    place = " ".join(f"{dice.uniform(*one):.2f}" for one in ranges)
    return f"{label} {dice.uniform(0, 0.6):.2f} {dice.randint(0, 3)} {dice.uniform(-3, 3):.2f} {box} {place}\n"


def measure(command: list[str]) -> tuple[float, float] | None:
    """Seconds of CPU and MB of the largest process; None if the command failed."""
    watch = (
        "import resource,subprocess,sys;"
        "code=subprocess.run(sys.argv[1:],stdout=-3,stderr=-3).returncode;"
        "used=resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime+used.ru_stime,used.ru_maxrss/1024);sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", watch, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def convert(source: Path, target: Path, workers: int) -> list[str]:
    """The command that converts."""
    tool = [sys.executable, "-m", "nucleus_convert", "kitti2nucleus", str(source), "-o", str(target)]
    return [*tool, "--overwrite", "--workers", str(workers)]


def time_labels(folder: Path, count: int, runs: int) -> bool:
    """Measure label files to Nucleus and print; whether all went well."""
    source, tenth = folder / "all", folder / "tenth"
    generate(source, count)
    generate(tenth, max(count // 10, 1))
    commands = {
        "floor: read the files": [sys.executable, "-c", FLOOR, str(source)],
        "kitti2nucleus, a tenth of the files": convert(tenth, folder / "out0", 1),
        "kitti2nucleus, 1 worker": convert(source, folder / "out1", 1),
        "kitti2nucleus, 2 workers": convert(source, folder / "out2", 2),
        "nucleus2kitti, 1 worker": [
            *(sys.executable, "-m", "nucleus_convert", "nucleus2kitti", str(folder / "out1")),
            *("-o", str(folder / "back"), "--overwrite", "--workers", "1"),
        ],
    }
    print(f"\n{count:,} label files with calibrations, best of {runs}\n")
    print(f"| {'command':36} | CPU s | x floor | peak MB |\n| {'---':36} |  ---: |    ---: |    ---: |")
    floor = 0.0
    for name, command in commands.items():
        found = [result for _ in range(runs) if (result := measure(command)) is not None]
        if not found:
            print(f"| {name:36} | failed |")
            return False
        seconds, megabytes = min(found)
        floor = floor or seconds
        print(f"| {name:36} | {seconds:5.2f} | {seconds / floor:7.1f} | {megabytes:7.0f} |", flush=True)
    same = filecmp.cmp(folder / "out1" / "annotations.jsonl", folder / "out2" / "annotations.jsonl", shallow=False)
    labels = source / "training" / "label_2"
    (back,) = (folder / "back").rglob("label_2")
    names = [path.name for path in labels.iterdir()]
    wrong = [name for name in names if (labels / name).read_bytes() != (back / name).read_bytes()]
    print(f"\n1 and 2 workers write the same: {same}; label files that came back otherwise: {len(wrong)}")
    return same and not wrong


def cloud(points: int, *, full: bool) -> pointtext.Points:
    """A cloud as a lidar gives it, or with all digits of a float32."""
    dice = np.random.default_rng(points)
    table = np.column_stack([dice.normal(0, 20, (points, 2)), dice.normal(-1, 1, points), dice.uniform(0, 1, points)])
    if not full:
        table = np.column_stack([np.round(table[:, :3], 3), np.round(table[:, 3], 2)])
    return table.astype(np.float32)


def with_dictionaries(source: Path, target: Path) -> None:
    """What one would write: a dictionary for each point, all at once."""
    points = [{"x": x, "y": y, "z": z, "i": i} for x, y, z, i in np.fromfile(source, "<f4").reshape(-1, 4).tolist()]
    target.write_text(json.dumps({"points": points}), encoding="utf-8")


def timed(work: Callable[[], object], runs: int) -> float:
    """CPU seconds of the best run."""
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def time_clouds(folder: Path, count: int, runs: int) -> None:
    """Measure clouds to JSON and print."""
    print(f"\nclouds of {count:,} points to JSON, best of {runs}\n")
    print("| numbers     | dictionaries, CPU ms | ours, CPU ms | times as fast | JSON smaller by | peak MB, ours |")
    print("| ---         |                 ---: |         ---: |          ---: |            ---: |          ---: |")
    for name, full in (("millimetres", False), ("full", True)):
        source, theirs, ours = folder / f"{name}.bin", folder / "theirs.json", folder / "ours.json"
        pointclouds.write_bin(cloud(count, full=full), source)
        slow = timed(lambda: with_dictionaries(source, theirs), runs)  # noqa: B023
        fast = timed(lambda: pointclouds.convert_cloud(source, ours), runs)  # noqa: B023
        smaller = theirs.stat().st_size / ours.stat().st_size
        tracemalloc.start()
        pointclouds.convert_cloud(source, ours)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        print(
            f"| {name:11} | {slow * 1000:20.0f} | {fast * 1000:12.0f} | {slow / fast:13.1f}"
            f" | {smaller:14.1f}x | {peak:13.1f} |",
            flush=True,
        )


def main() -> int:
    """Generate, measure, print; the exit status is 1 if a command failed or outputs differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=7481)
    parser.add_argument("--points", type=int, default=120_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="20 frames and 1,000 points, once")
    options = parser.parse_args()
    if options.smoke:
        options.frames, options.points, options.runs = 20, 1000, 1
    folder = Path(tempfile.mkdtemp(prefix="kitti-"))
    try:
        time_clouds(folder, options.points, options.runs)
        return 0 if time_labels(folder, options.frames, options.runs) else 1
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())

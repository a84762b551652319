"""Time and weigh conversions of a large COCO file, and print one table.

    python benchmarks/run.py            5,000 images
    python benchmarks/run.py --full     118,287 images, as many as train2017
    python benchmarks/run.py --smoke    tiny, no peers, once

The exit status is 1 if a command of ours failed.

Every measurement is a process of its own. Peak memory is what the kernel says of the largest process of the
command (it counts mapped pages of the input file); "own" is memory that is not a file's, added up over all
processes of the command and sampled. This process stays small on purpose: a child's peak never reads lower
than its parent's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
ASIDE = DATA / "aside"
FULL = 118_287
OURS = [sys.executable, "-m", "nucleus_convert"]
BASELINE = "json.load"

DATUMARO = """
import sys
from datumaro.components.dataset import Dataset
Dataset.import_from(sys.argv[1], "coco_instances").export(sys.argv[2], "coco_instances", save_media=False)
"""


@dataclass
class Case:
    """One row of the table: a command, and what it must leave behind."""

    name: str
    command: Sequence[str]
    makes: Path | None = None
    ours: bool = False


@dataclass
class Result:
    """The best of some runs of a case."""

    name: str
    seconds: float
    peak_mb: float
    own_mb: float | None
    written_mb: float | None = None
    ratio: float | None = None
    error: str | None = None


# --- measuring ---------------------------------------------------------------------------------------------


def family(pid: int) -> Iterator[int]:
    """A process and its descendants (Linux only)."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def own_kilobytes(pid: int) -> int:
    """Memory of one process that does not belong to a file."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


class Sampler(threading.Thread):
    """Looks at a running command every few milliseconds and remembers the most memory it had."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.most = 0
        self.over = threading.Event()

    def run(self) -> None:
        """Sample until told to stop."""
        while not self.over.wait(0.02):
            self.most = max(self.most, sum(own_kilobytes(pid) for pid in family(self.pid)))


def measure(case: Case) -> Result:
    """Run a case once."""
    set_aside(case.makes)
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(
            case.command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, cwd=DATA
        )
        sampler = Sampler(process.pid)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.over.set()
        sampler.join()
        said.seek(0)
        text = said.read().decode("utf-8", "replace").strip()
    unit = 1 if sys.platform == "darwin" else 1024
    result = Result(case.name, seconds, usage.ru_maxrss * unit / 1e6, sampler.most * 1.024e-3 or None)
    if process.returncode:
        result.error = f"exit {process.returncode}: " + "\n".join(text.splitlines()[-12:])
    elif case.makes:
        if case.makes.exists():
            result.written_mb = weigh(case.makes) / 1e6
        else:
            result.error = f"exit 0, but there is no {case.makes}"
    return result


def set_aside(path: Path | None) -> None:
    """Move what an earlier round made out of the way.

    It is removed when all is measured: for a minute or more after thousands of files were removed, ext4 takes
    several times as long to make new ones, and the next command would be blamed for it.
    """
    if path is not None and path.exists():
        ASIDE.mkdir(exist_ok=True)
        path.rename(ASIDE / str(len(list(ASIDE.iterdir()))))


def remove(path: Path | None) -> None:
    """Remove a file or folder of the data folder."""
    if path is None:
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def weigh(path: Path) -> int:
    """The size of a file, or of all in a folder."""
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    return sum(file.stat().st_size for file in files)


def better(old: Result | None, new: Result) -> Result:
    """The faster of two runs; memory is the smaller of both; an error stays."""
    if old is None or old.error:
        return old or new
    if new.error:
        return new
    best = min(old, new, key=lambda result: result.seconds)
    best.peak_mb = min(old.peak_mb, new.peak_mb)
    if old.own_mb and new.own_mb:
        best.own_mb = min(old.own_mb, new.own_mb)
    return best


# --- what is measured --------------------------------------------------------------------------------------


def baselines(source: Path) -> Iterator[Case | str]:
    """Reading the file as Python does, and as the fastest parser does."""
    load = "import json, sys; json.load(open(sys.argv[1], encoding='utf-8'))"
    yield Case(BASELINE, [sys.executable, "-c", load, str(source)])
    if importlib.util.find_spec("orjson"):
        loads = "import orjson, sys; orjson.loads(open(sys.argv[1], 'rb').read())"
        yield Case("orjson.loads", [sys.executable, "-c", loads, str(source)])
    else:
        yield "orjson: not installed"


def our_cases(source: Path) -> Iterator[Case]:
    """COCO to Nucleus in several ways, and back."""
    there, back = DATA / "nucleus", DATA / "back.json"
    for name, options in (
        ("1 worker", ["--workers", "1"]),
        ("1 worker, --no-verify", ["--workers", "1", "--no-verify"]),
        ("2 workers", ["--workers", "2"]),
        ("2 workers, --no-verify", ["--workers", "2", "--no-verify"]),
    ):
        command = [*OURS, "coco2nucleus", str(source), "-o", str(there), *options]
        yield Case(f"coco2nucleus, {name}", command, there, ours=True)
    for workers in ("1", "2"):
        command = [*OURS, "nucleus2coco", str(there), "-o", str(back), "--workers", workers, "--overwrite"]
        yield Case(f"nucleus2coco, {workers} worker{'s'[: int(workers) - 1]}", command, back, ours=True)
    for name, options in (("inspect", []), ("check", []), ("check", ["--as", "nucleus"])):
        command = [*OURS, name, str(source), "--workers", "1", "-q", *options]
        yield Case(f"{' '.join([name, *options])}, 1 worker", command, ours=True)


def peer_cases(source: Path) -> Iterator[Case | str]:
    """COCO to COCO with other converters: what each keeps differs, see README.md."""
    out = DATA / "peer.json"
    labelformat = "convert --task object-detection --input-format coco --output-format coco"
    commands = {
        "labelformat": [*labelformat.split(), "--input-file", str(source), "--output-file", str(out)],
        "globox": ["convert", "-f", "coco", "-F", "coco", str(source), str(out)],
        "panlabel": [
            "convert",
            "-f",
            "coco",
            "-t",
            "coco",
            "--allow-lossy",
            "-i",
            str(source),
            "-o",
            str(out),
        ],
    }
    for name, arguments in commands.items():
        program = shutil.which(
            name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        )
        yield (
            Case(f"{name} coco to coco", [program, *arguments], out) if program else f"{name}: not installed"
        )
    python = datumaro_python()
    if python is None:
        yield "datumaro: not installed"
        return
    folder = DATA / "datumaro"  # datumaro wants this layout, and a folder of images even if it is empty
    remove(folder)
    (folder / "images" / "train").mkdir(parents=True)
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_train.json").symlink_to(source)
    made = DATA / "datumaro-out"
    yield Case("datumaro coco to coco", [python, "-c", DATUMARO, str(folder), str(made)], made)


def datumaro_python() -> str | None:
    """An interpreter that can import datumaro: this one, or the one beside a `datum` on the path."""
    if importlib.util.find_spec("datumaro"):
        return sys.executable
    program = shutil.which("datum")
    if program and (python := Path(program).parent / "python").exists():
        return str(python)
    return None


def help_time(repeat: int = 5) -> Result:
    """The best of some runs of the help, which says how long a start takes."""
    best: Result | None = None
    for _ in range(repeat):
        best = better(best, measure(Case("convert --help", [*OURS, "--help"], ours=True)))
    assert best is not None
    return best


# --- the table ---------------------------------------------------------------------------------------------


def prepare(images: int) -> Path:
    """The input file, made once and kept."""
    source = DATA / f"instances-{images}.json"
    if not source.exists():
        DATA.mkdir(exist_ok=True)
        part = source.with_suffix(".part")
        subprocess.run(
            [sys.executable, str(HERE / "generate.py"), "--images", str(images), str(part)], check=True
        )
        part.rename(source)
    with source.open("rb") as file:  # so that no run has to wait for the disk
        while file.read(1 << 24):
            pass
    return source


def table(results: Sequence[Result]) -> str:
    """The results as a Markdown table."""
    heads = ("command", "seconds", "x json.load", "peak MB", "own MB", "written MB")
    rows = [heads, ("---", "---:", "---:", "---:", "---:", "---:")]
    for result in results:
        if result.error:
            rows.append((result.name, "failed", "", "", "", ""))
            continue
        ratio = f"{result.ratio:.2f}" if result.ratio is not None else ""
        own = f"{result.own_mb:.0f}" if result.own_mb else ""
        written = f"{result.written_mb:.1f}" if result.written_mb is not None else ""
        rows.append((result.name, f"{result.seconds:.2f}", ratio, f"{result.peak_mb:.0f}", own, written))
    wide = [max(len(row[k]) for row in rows) for k in range(len(heads))]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(wide[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], wide[1:], strict=True)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Read the command line, measure, print; 1 if something of ours failed."""
    parser = argparse.ArgumentParser(description="Time and weigh conversions of a large COCO file.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--images", type=int, default=5000, help="number of images (default: %(default)s)")
    size.add_argument("--full", action="store_true", help=f"as many images as train2017: {FULL}")
    size.add_argument("--smoke", action="store_true", help="60 images, no peers, once: do the commands work?")
    parser.add_argument(
        "--repeat", type=int, default=3, help="rounds; the best counts (default: %(default)s)"
    )
    parser.add_argument("--no-peers", action="store_true", help="leave other converters out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here too")
    options = parser.parse_args()
    images = FULL if options.full else 60 if options.smoke else options.images
    repeat = 1 if options.smoke else max(1, options.repeat)

    source = prepare(images)
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{images:,} images, {source.stat().st_size / 1e6:.1f} MB of JSON, best of {repeat}\n")
    cases: list[Case] = []
    notes: list[str] = []
    wanted = [*baselines(source), *our_cases(source)]
    if not (options.smoke or options.no_peers):
        wanted += peer_cases(source)
    for entry in wanted:
        (notes if isinstance(entry, str) else cases).append(entry)  # type: ignore[arg-type]

    best: dict[str, Result] = {}
    for _ in range(repeat):  # round by round, so that a slow minute of the machine hits all alike
        for case in cases:
            known = best.get(case.name)
            if known is None or not known.error:
                best[case.name] = better(known, measure(case))
    results = list(best.values())
    for result in results:
        if not result.error and not best[BASELINE].error:
            result.ratio = result.seconds / best[BASELINE].seconds
    results.append(help_time(1 if options.smoke else 5))
    for case in cases:
        remove(case.makes)
    for path in (DATA / "datumaro", ASIDE):
        remove(path)

    print(table(results))
    print("\n".join(["", *notes]) if notes else "")
    failed = [result for result in results if result.error]
    for result in failed:
        print(f"{result.name} failed, {result.error}\n")
    if options.json:
        document = {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "images": images,
            "bytes": source.stat().st_size,
            "repeat": repeat,
            "results": [asdict(result) for result in results],
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    ours = {case.name for case in cases if case.ours} | {"convert --help"}
    return int(any(result.name in ours for result in failed))


if __name__ == "__main__":
    sys.exit(main())

"""Times commands over a data set of many small files, side by side: what voc.py and yolo.py have in common.

All commands in turn, round after round, each round beginning with another; the first round only warms up. Reported are
medians, and the best: seconds of wall time and of CPU (of all processes of the command), peak memory of the largest
process, and, in one more run that is not timed, the memory of all processes together that is not a file's (what forked
processes share counts once).
Byte code is compiled beforehand, as pip does it, whatever the environment says.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from run import Sampler, family, remove

OURS = """
import sys
from nucleus_convert.converters import pipeline
if __name__ == "__main__":
    source, out, format, workers, verify = sys.argv[1:]
    pipeline.convert(source, out, source=format, workers=int(workers), verify=verify)
"""
TWO = "nucleus-convert, 2 workers"
FLOOR = "open + read"
PEER_PYTHONS = ("/tmp/peers/bin/python", "/tmp/peers2/bin/python", "/tmp/peers-yolo/bin/python")


class Case(NamedTuple):
    """A command: a script for a Python, and where it leaves its output."""

    name: str
    python: str
    script: Path
    arguments: Sequence[str]
    out: Path | None = None


class Run(NamedTuple):
    """What one run took: seconds of wall time and CPU, and megabytes."""

    wall: float
    cpu: float
    peak: float
    own: float


class _Sampler(Sampler):
    """Adds up shares of memory (Linux only)."""

    def run(self) -> None:
        """Sample until told to stop."""
        while not self.over.wait(0.02):
            self.most = max(self.most, sum(_share(pid) for pid in family(self.pid)))


def _share(pid: int) -> int:
    """Kilobytes of a process that are no file's, its share of what several have."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))


def once(case: Case, *, sampled: bool = False) -> Run | str:
    """Run a command once; or what it said last, if it failed."""
    remove(case.out)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [case.python, case.script, *case.arguments], stdout=said, stderr=said, cwd="/", env=environment
        )
        sampler = _Sampler(process.pid)
        if sampled:
            sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.over.set()
        if process.returncode:
            said.seek(0)
            return said.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6, sampler.most * 1.024e-3)


def has(python: str, module: str) -> bool:
    """Whether a Python has a module."""
    if not Path(python).exists():
        return False
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def digest(folder: Path) -> str:
    """One number for all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return total.hexdigest()[:16]


def main(
    format: str,
    generate: Callable[[Path, int], None],
    alone: Mapping[str, str],
    peers: Mapping[str, str],
    description: str,
) -> int:
    """Generate, measure, print.

    Args:
        format: the name of the source's format.
        generate: makes a data set of so many files at a path.
        alone: name -> script of what is measured for comparison with this Python: called with source and out.
        peers: module -> script of other converters, for the first Python that has the module.
        description: for ``--help``.

    Returns:
        1 if a command of ours failed or outputs differ, else 0.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="append", default=[], help="a Python that has peers; may be repeated")
    parser.add_argument("--smoke", action="store_true", help="600 files, one round, no peers: does it run?")
    given = parser.parse_args()
    files, rounds = (600, 1) if given.smoke else (given.files, given.rounds)
    with tempfile.TemporaryDirectory(prefix=f"{format}-benchmark-") as place:
        source = Path(place, "source")
        generate(source, files)
        cases: list[Case] = []

        def add(name: str, python: str, code: str, *more: str) -> Path:
            stem = f"{len(cases):02}"
            script, out = Path(place, f"{stem}.py"), Path(place, f"{stem}.out")
            script.write_text(code, encoding="utf-8")
            cases.append(Case(name, python, script, [str(source), str(out), *more], out))
            return out

        for name, code in alone.items():
            add(name, sys.executable, code)
        outs = [
            add("nucleus-convert, 1 worker", sys.executable, OURS, format, "1", "none"),
            add(TWO, sys.executable, OURS, format, "2", "none"),
        ]
        add("the same, output checked", sys.executable, OURS, format, "2", "auto")
        for module, code in {} if given.smoke else peers.items():
            python = next((one for one in [*given.peers, *PEER_PYTHONS] if has(one, module)), None)
            if python is None:
                print(f"{module}: not installed, left out")
            else:
                add(module, python, code)
        runs, failed = _rounds(cases, rounds)
        same = len({digest(out) for out in outs}) == 1
        _print(files, rounds, runs, same=same, peers=[name for name in peers if name in runs])
        return int(not same or any(not name.startswith(tuple(peers)) for name in failed))


def _rounds(cases: list[Case], rounds: int) -> tuple[dict[str, list[Run]], list[str]]:
    """The runs of each case, the last of them sampled; and the cases that failed."""
    runs: dict[str, list[Run]] = {}
    failed: list[str] = []
    for number in range(rounds + 2):
        first = number % len(cases)
        for case in cases[first:] + cases[:first]:
            if case.name in failed:
                continue
            run = once(case, sampled=number == rounds + 1)
            if isinstance(run, str):
                print(f"{case.name}: failed ({run})")
                failed.append(case.name)
            elif number:
                runs.setdefault(case.name, []).append(run)
    return {case.name: runs[case.name] for case in cases if case.name not in failed}, failed


def _print(
    files: int, rounds: int, runs: Mapping[str, list[Run]], *, same: bool, peers: Sequence[str]
) -> None:
    wall = {name: statistics.median(run.wall for run in some[:rounds]) for name, some in runs.items()}
    print(f"\n{files:,} files, medians of {rounds}\n")
    print("| command | s | best s | CPU s | x floor | / ours | peak MB | own MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    best = {name: min(run.wall for run in some[:rounds]) for name, some in runs.items()}
    for name, some in runs.items():
        cpu = statistics.median(run.cpu for run in some[:rounds])
        ratios = f"{wall[name] / wall[FLOOR]:.1f} | {wall[name] / wall[TWO]:.2f}"
        seconds = f"{wall[name]:.2f} | {best[name]:.2f} | {cpu:.2f}"
        print(f"| {name} | {seconds} | {ratios} | {some[0].peak:.0f} | {some[-1].own:.0f} |")
    print(f"\noutput the same with 1 and 2 workers: {'yes' if same else 'NO'}")
    if peers:
        for what, took in (("medians", wall), ("bests", best)):
            quickest = min(peers, key=took.__getitem__)
            print(f"quickest peer / ours at 2 workers, {what}: {took[quickest] / took[TWO]:.1f} ({quickest})")

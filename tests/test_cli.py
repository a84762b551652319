"""The command line: options, output, exit codes, interruption, and that it is quick to help."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nucleus_convert import LabelSet, cli
from nucleus_convert.converters import ir, pipeline, registry, signals
from nucleus_convert.converters.options import described
from nucleus_convert.converters.protocol import Feature, Target
from nucleus_convert.converters.report import Report

CONVERT = [sys.executable, "-m", "nucleus_convert"]


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command line in this process."""

    def run(*args: object) -> Result:
        code = cli.run([str(arg) for arg in args])
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def tiny(fixtures: Path) -> Path:
    return fixtures / "coco/tiny/instances.json"


@pytest.fixture
def bad(fixtures: Path) -> Path:
    return fixtures / "coco/bad/two-bad-boxes.json"


@pytest.fixture
def large(tmp_path: Path, boxes: Callable[[int], LabelSet]) -> Path:
    """Large enough to be interrupted."""
    path = tmp_path / "large.ndjson"
    ir.write(boxes(150_000), Target(path, path), options=ir.WriteOptions(), report=Report())
    return path


# ---------------------------------------------------------------------- help


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys\n"
        "from nucleus_convert.cli import run\n"
        "run(['--help'])\n"
        "heavy = {'pydantic', 'msgspec', 'numpy', 'rich', 'PIL', 'lxml', 'pycocotools', 'yaml'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
        "ours = [name for name in sys.modules if name.startswith('nucleus_convert.formats')]\n"
        "print(ours, file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.split() == ["[]", "[]"]
    best = min(_seconds([*CONVERT, "--help"]) for _ in range(5))
    assert best < 0.25


def _seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_shows_the_pattern_and_the_formats(run: Any, flag: str) -> None:
    code, out, err = run(flag)
    assert (code, err) == (0, "")
    assert "A2B SRC -o OUT" in out
    for name, (_, title) in registry.FORMATS.items():
        assert f"  {name}" in out
        assert title[:30] in out
    assert len(out.splitlines()) < 40


def test_no_command_at_all_shows_the_help(run: Any) -> None:
    code, out, err = run()
    assert code == 2
    assert "Usage" in out + err


def test_version(run: Any) -> None:
    assert run("--version") == (0, "nucleus-convert, version 0.1.0\n", "")


PAIRS = [
    f"{source}2{target}"
    for source in [*registry.FORMATS, "auto"]
    for target in registry.FORMATS
    if source != target
]


@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_has_help_of_its_own_options(run: Any, pair: str) -> None:
    code, out, err = run(pair, "--help")
    assert (code, err) == (0, "")
    source, _, target = pair.partition("2")
    reader = None if source == "auto" else registry.get(source).ReadOptions
    writer = registry.get(target).WriteOptions
    for one in described(reader, writer):
        assert f"--{one.flag.partition('/')[0]}" in out
        assert one.settings["help"], f"{pair}: option {one.name} has no description"
    assert ("Source (" in out) == bool(reader and reader.model_fields)
    assert ("Target (" in out) == bool(set(writer.model_fields) - set(reader.model_fields if reader else ()))
    for flag in ("--output", "--dry-run", "--fail-on", "--on-error", "--labels", "--log", "--overwrite"):
        assert flag in out


@pytest.mark.parametrize("name", registry.FORMATS)
def test_format_options_do_not_hide_common_ones(name: str) -> None:
    module = registry.get(name)
    common = {param.name for param in cli.common_options()} | {"source", "target", "dst", "progress"}
    for one in described(module.ReadOptions, module.WriteOptions):
        assert one.name not in common


def test_the_list_of_commands_is_complete() -> None:
    listed = cli.cli.list_commands(cli.cli.make_context("convert", ["detect"], resilient_parsing=True))
    assert set(PAIRS) <= set(listed)
    assert {"detect", "formats"} <= set(listed)


def test_completion_knows_commands_and_options(tmp_path: Path) -> None:
    def complete(words: str, number: int) -> list[str]:
        asked = {
            "_CONVERT_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(number),
        }
        script = "import sys; sys.argv = ['convert']; from nucleus_convert.cli import main; main()"
        result = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, **asked}, capture_output=True, text=True
        )
        return [line.partition(",")[2] for line in result.stdout.splitlines()]

    assert "coco2nucleus" in complete("convert co", 1)
    assert complete("convert det", 1) == ["detect"]
    assert "--ground-truth" in complete("convert coco2ir --gr", 2)
    assert complete("convert coco2ir --fail-on l", 3) == ["loss"]


# ---------------------------------------------------------------------- running


def test_a_run_prints_its_report_on_stderr(run: Any, tiny: Path, tmp_path: Path) -> None:
    code, out, err = run("coco2ir", tiny, "-o", tmp_path / "a.ndjson")
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        f"2 items, 2 objects read -> 2 items, 2 objects written to {tmp_path / 'a.ndjson'}",
        f"report: {tmp_path / 'a.report.json'}",
    ]


def test_quiet_prints_nothing(run: Any, tiny: Path, tmp_path: Path) -> None:
    assert run("coco2ir", tiny, "-o", tmp_path / "a.ndjson", "-q") == (0, "", "")


def test_verbose_prints_every_finding(run: Any, tiny: Path, tmp_path: Path) -> None:
    quiet = run("coco2ir", tiny, "-o", tmp_path / "a.ndjson", "--no-verify")
    assert "1 note; see" in quiet.err
    loud = run("coco2ir", tiny, "-o", tmp_path / "b.ndjson", "--no-verify", "-v")
    assert "INFO    the output was not read back" in loud.err


def test_a_dry_run_needs_no_target(run: Any, tiny: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run("coco2ir", tiny, "--dry-run")
    assert code == 0
    assert "would be written" in err
    assert list(tmp_path.iterdir()) == []
    code, _, err = run("coco2ir", tiny)
    assert code == 2
    assert "-o" in err


def test_options_reach_the_formats(run: Any, tiny: Path, tmp_path: Path) -> None:
    code, _, _ = run("coco2ir", tiny, "-o", tmp_path / "a.ndjson", "--predictions", "--bbox", "xywh")
    assert code == 0
    said = json.loads((tmp_path / "a.report.json").read_text())["options"]["read"]
    assert (said["predictions"], said["bbox"]) == (True, "xywh")


def test_common_options_reach_the_pipeline(
    run: Any, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def convert(src: Path, dst: Path, **settings: Any) -> Report:
        seen.update(settings, src=src, dst=dst)
        return Report()

    monkeypatch.setattr(pipeline, "convert", convert)
    given = "--fail-on loss --on-error skip --labels m.toml --log l --verify all --workers 3"
    flags = ("--overwrite", "--dry-run")
    assert run("coco2ir", tiny, "-o", tmp_path / "a", *given.split(), *flags).code == 0
    assert seen == {
        "src": tiny,
        "dst": tmp_path / "a",
        "source": "coco",
        "target": "ir",
        "fail_on": "loss",
        "on_error": "skip",
        "labels": Path("m.toml"),
        "log": Path("l"),
        "overwrite": True,
        "verify": "all",
        "workers": 3,
        "dry_run": True,
        "progress": None,
    }
    seen.clear()
    assert run("auto2ir", tiny, "-o", tmp_path / "a", "--no-verify").code == 0
    assert (seen["source"], seen["verify"], seen["workers"], seen["fail_on"]) == (None, "none", None, "never")


@pytest.mark.parametrize("pair", ["ir2nucleus", "ir2coco"])
def test_the_number_of_workers_changes_no_byte(
    run: Any, tmp_path: Path, boxes: Callable[[int], LabelSet], pair: str
) -> None:
    source = tmp_path / "source.ndjson"
    ir.write(boxes(600), Target(source, source), options=ir.WriteOptions(), report=Report())
    written = []
    for workers in (1, 2):
        target = tmp_path / str(workers)
        assert run(pair, source, "-o", target, "--workers", workers).code == 0
        files = {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        written.append(files)
    assert written[0] == written[1]
    assert len(written[0]) >= 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_processes_end_without_a_word(tmp_path: Path, workers: str) -> None:
    """Files that are read by offset are open to the end, when Python takes its modules apart."""
    image = {"file_name": "a.jpg", "width": 9, "height": 9}
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}
    document = {
        "images": [{**image, "id": i, "file_name": f"{i}.jpg"} for i in range(600)],
        "annotations": [{**box, "id": i + 1, "image_id": i} for i in range(600)],
        "categories": [{"id": 1, "name": "cat"}],
    }
    source = tmp_path / "a.json"
    source.write_text(json.dumps(document), encoding="utf-8")
    command = ["-m", "nucleus_convert", "coco2nucleus", source, "-o", tmp_path / "out", "--workers", workers, "-q"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("name", ["b.json", "b.v2"])
def test_a_target_with_any_suffix_is_a_file(run: Any, tiny: Path, tmp_path: Path, name: str) -> None:
    assert run("coco2ir", tiny, "-o", tmp_path / "a.ndjson").code == 0
    for more in ((), ("--overwrite",)):
        assert run("ir2coco", tmp_path / "a.ndjson", "-o", tmp_path / name, *more).code == 0
        assert json.loads((tmp_path / name).read_text()) == json.loads(tiny.read_text())


def test_there_and_back_gives_the_same_coco(run: Any, tiny: Path, tmp_path: Path) -> None:
    assert run("coco2nucleus", tiny, "-o", tmp_path / "nucleus").code == 0
    assert run("nucleus2coco", tmp_path / "nucleus", "-o", tmp_path / "back.json").code == 0
    assert json.loads((tmp_path / "back.json").read_text()) == json.loads(tiny.read_text())


def test_aliases_name_formats(run: Any, tiny: Path, tmp_path: Path) -> None:
    assert run("mscoco2model", tiny, "-o", tmp_path / "a.ndjson").code == 0


def test_detect(run: Any, tiny: Path, fixtures: Path, tmp_path: Path) -> None:
    assert run("detect", tiny) == (0, "coco\n", "")
    code, out, err = run("detect", fixtures / "ir/everything/labels.ndjson", "-v")
    assert (code, out) == (0, "ir\n")
    assert "not coco: " in err
    (tmp_path / "a.txt").write_text("hello")
    code, out, err = run("detect", tmp_path / "a.txt")
    assert (code, out) == (22, "")
    assert "no known format" in err
    assert run("detect", tmp_path / "none").code == 30


def test_formats(run: Any) -> None:
    code, out, err = run("formats")
    assert (code, err) == (0, "")
    header, *rows = out.splitlines()
    assert header.split() == list(registry.FORMATS)
    assert [re.split("  +", row)[0] for row in rows[: len(Feature)]] == [str(feature) for feature in Feature]
    code, out, _ = run("formats", "--json")
    said = json.loads(out)
    assert list(said) == list(registry.FORMATS)
    for name, entry in said.items():
        spec = registry.get(name).SPEC
        assert set(entry["holds"]) == {str(feature) for feature in spec.holds}
        assert set(entry["carries"]) == {str(feature) for feature in spec.carries}
    code, out, _ = run("formats", "mscoco")
    assert out.startswith("coco: ")
    assert "holds:" in out
    assert run("formats", "labelme").code == 21


# ---------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["coc2nucleus", "x"], 21, "did you mean 'coco'?"),
        (["labelme2nucleus", "x"], 21, "export COCO from it"),
        (["coco2labelme", "x"], 21, "export COCO from it"),
        (["coco2coco", "x"], 2, "would convert coco to itself"),
        (["detekt", "x"], 2, "Did you mean 'detect'?"),
        (["zzzzzz"], 2, "No such command 'zzzzzz'"),
        (["coco2ir", "x", "--fial-on", "loss"], 2, "Did you mean '--fail-on'?"),
        (["coco2ir", "x", "--fail-on", "lots"], 2, "'lots' is not one of 'never', 'warning', 'loss'"),
        (["coco2ir", "x", "-o", "y", "--workers", "0"], 2, "0 is not in the range"),
        (["coco2ir"], 2, "Missing argument 'SRC'"),
        (["coco2ir", "none.json", "-o", "y"], 30, "none.json: no such file or folder"),
    ],
)
def test_mistakes_are_explained(run: Any, args: list[str], code: int, said: str) -> None:
    result = run(*args)
    assert result.code == code
    assert said in result.err
    assert result.out == ""
    assert "Traceback" not in result.err


def test_a_malformed_file_is_named_in_one_message(run: Any, fixtures: Path, tmp_path: Path) -> None:
    code, out, err = run("coco2ir", fixtures / "coco/bad/truncated.json", "-o", tmp_path / "a.ndjson")
    assert (code, out) == (31, "")
    assert err.startswith("error: ")
    assert "truncated.json" in err
    assert len(err.splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []


def test_bad_records_are_quarantined_and_their_file_named(run: Any, bad: Path, tmp_path: Path) -> None:
    code, _, err = run("coco2ir", bad, "-o", tmp_path / "a.ndjson", "--on-error", "quarantine")
    assert code == 0
    assert f"rejected records: {tmp_path / 'a.rejected.jsonl'}" in err
    assert "(2 objects skipped)" in err
    assert len((tmp_path / "a.rejected.jsonl").read_text().splitlines()) == 2


def test_refused_loss_prints_the_report_and_exits_with_3(run: Any, bad: Path, tmp_path: Path) -> None:
    args = ("coco2ir", bad, "-o", tmp_path / "a.ndjson", "--on-error", "skip", "--fail-on", "loss")
    code, _, err = run(*args)
    assert code == 3
    assert "LOSS    record not read" in err
    assert "error: the report holds 2 findings of 2 kinds that --fail-on loss forbids" in err
    assert list(tmp_path.iterdir()) == []
    code, _, err = run(*args, "-q")
    assert code == 3
    assert err.startswith("error: ")


def test_an_existing_target_is_left_alone(run: Any, tiny: Path, tmp_path: Path) -> None:
    assert run("coco2ir", tiny, "-o", tmp_path / "a.ndjson").code == 0
    code, _, err = run("coco2ir", tiny, "-o", tmp_path / "a.ndjson")
    assert code == 41
    assert "--overwrite" in err
    assert run("coco2ir", tiny, "-o", tmp_path / "a.ndjson", "--overwrite").code == 0


def test_a_target_that_cannot_be_written(run: Any, tiny: Path) -> None:
    code, _, err = run("coco2ir", tiny, "-o", "/proc/none/a.ndjson")
    assert code == 40
    assert "cannot write here" in err
    assert len(err.splitlines()) == 2


def _broken(*args: Any, **settings: Any) -> None:
    raise ZeroDivisionError("something silly")


def test_a_bug_is_two_lines_and_a_file(run: Any, tiny: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(pipeline, "convert", _broken)
    code, out, err = run("coco2ir", tiny, "-o", tmp_path / "a.ndjson")
    assert (code, out) == (70, "")
    first, second = err.splitlines()
    assert "ZeroDivisionError: something silly" in first
    [file] = tmp_path.iterdir()
    assert str(file) in second
    assert "Traceback" in file.read_text()
    assert "coco2ir" in file.read_text()
    file.unlink()
    code, _, err = run("coco2ir", tiny, "-o", tmp_path / "a.ndjson", "-v")
    assert code == 70
    assert "Traceback" in err
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- interruption


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "interrupted; nothing was written\n"),
        (signal.SIGTERM, 143, "terminated; nothing was written\n"),
    ],
)
def test_an_interrupted_run_leaves_nothing(
    large: Path, tmp_path: Path, number: signal.Signals, code: int, said: str, workers: int
) -> None:
    target = tmp_path / "out" / "a.ndjson"
    target.parent.mkdir()
    target.write_text("what was there before")
    target.with_name("a.report.json").write_text("{}")
    command = [*CONVERT, "ir2coco", str(large), "-o", str(target), "--overwrite", "--workers", str(workers)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 30
    while len(list(target.parent.iterdir())) == 2:  # until there is something half-written
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    if number is signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: to every process
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (code, "", said)
    assert sorted(path.name for path in target.parent.iterdir()) == ["a.ndjson", "a.report.json"]
    assert target.read_text() == "what was there before"


SWALLOWS = """
import signal, sys
from nucleus_convert import cli

class Swallows:
    def find_spec(self, name, path=None, target=None):
        if name == "nucleus_convert.converters.coco.write":
            sys.meta_path.remove(self)
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException:
                print("swallowed")

sys.meta_path.insert(0, Swallows())
cli.main()
"""


def test_a_signal_is_not_lost_where_a_library_swallows_what_it_raises(tiny: Path, tmp_path: Path) -> None:
    """As compiled modules do while they are imported: what the handler raises there is gone."""
    source, target = tmp_path / "a.ndjson", tmp_path / "out" / "a.json"
    assert cli.run(["coco2ir", str(tiny), "-o", str(source)]) == 0
    command = [sys.executable, "-c", SWALLOWS, "ir2coco", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "swallowed\n", "interrupted; nothing was written\n")
    assert not target.parent.exists()


def _raise_and_go_on(came: list[int]) -> None:
    with signals.undisturbed():
        signal.raise_signal(signal.SIGINT)
        came.append(0)


def test_signals_wait_for_what_must_happen_whole() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with signals.undisturbed():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert came == []
        assert came
        came.clear()
        with pytest.raises(KeyboardInterrupt):
            _raise_and_go_on(came)
        assert came == [0]
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(signals.SIGNALS) == set()
    finally:
        signal.signal(signal.SIGTERM, before)


# ---------------------------------------------------------------------- terminals


def on_a_terminal(command: Sequence[str], **env: str) -> str:
    """What the command shows on a terminal."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=side,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", **env},
    )
    os.close(side)
    return b"".join(_chunks(main, process)).decode()


def _chunks(main: int, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    try:
        while chunk := os.read(main, 65536):
            yield chunk
    except OSError:  # the other side is closed
        pass
    finally:
        os.close(main)
        process.wait()


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests are run in."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR"):
        monkeypatch.delenv(name, raising=False)


def test_colours_and_progress_are_for_terminals(bad: Path, tmp_path: Path) -> None:
    command = [*CONVERT, "coco2ir", str(bad), "--dry-run", "--on-error", "skip"]
    shown = on_a_terminal(command)
    assert "\x1b[31mLOSS" in shown
    assert "writing" in shown
    plain = on_a_terminal(command, NO_COLOR="1")
    assert "\x1b[31m" not in plain
    assert "LOSS" in plain
    assert on_a_terminal([*command, "-q"]) == ""
    piped = subprocess.run(command, capture_output=True, text=True)
    assert "\x1b" not in piped.stderr
    assert "writing" not in piped.stderr

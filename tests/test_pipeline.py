"""A whole run: what it leaves, what it refuses, and that nothing is half-written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic
import pytest

from nucleus_convert import (
    Annotation,
    Box,
    ConvertError,
    Header,
    Item,
    LabelSet,
    LossRefusedError,
    Record,
    Report,
    convert,
    from_records,
    read,
    write,
)
from nucleus_convert.converters import ir, nucleus, parallel, registry, verify
from nucleus_convert.converters.errors import (
    DetectionError,
    InternalError,
    MalformedFileError,
    OptionError,
    OutputExistsError,
    ReadError,
    SchemaError,
    UnknownFormatError,
    VerifyError,
    WriteError,
)
from nucleus_convert.converters.protocol import Feature, Spec, Target


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder to write in."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, in which no run may leave anything."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert names(folder) == []


@pytest.fixture
def tiny(fixtures: Path) -> Path:
    return fixtures / "coco/tiny/instances.json"


@pytest.fixture
def bad(fixtures: Path) -> Path:
    return fixtures / "coco/bad/two-bad-boxes.json"


@pytest.fixture
def many(tmp_path: Path, boxes: Callable[[int], LabelSet]) -> Path:
    """An ir file of several chunks."""
    path = tmp_path / "many.ndjson"
    ir.write(boxes(parallel.CHUNK * 2 + 9), Target(path, path), options=ir.WriteOptions(), report=Report())
    return path


class Folder:
    """A made-up format whose target is a folder of ir files, and which can be told to misbehave."""

    SPEC = Spec(
        name="folder",
        title="for tests",
        holds=frozenset(Feature) - {Feature.TRACK, Feature.GROUP},
        carries=frozenset({Feature.GROUP}),
    )

    class ReadOptions(pydantic.BaseModel, extra="forbid"):
        root: str = ""

    class WriteOptions(pydantic.BaseModel, extra="forbid"):
        root: str = ""
        style: Literal["plain", "fancy"] = "plain"
        size: int = pydantic.Field(3, ge=1)

    def __init__(self, misbehave: Callable[[Path, Report], None] | None = None) -> None:
        self.misbehave = misbehave
        self.seen: list[Any] = []

    def sniff(self, source: Path) -> str | None:
        return None if (source / "all.ndjson").exists() else "no all.ndjson"

    def read(self, source: Path, *, options: Any, report: Report) -> LabelSet:
        return ir.read(source / "all.ndjson", options=options, report=report)

    def write(self, labels: LabelSet, target: Target, *, options: Any, report: Report) -> list[Path]:
        self.seen.append(options)
        path = target.path / "all.ndjson"
        inner = Target(path, path, target.workers, target.progress)
        ir.write(labels, inner, options=ir.WriteOptions(), report=report)
        (target.path / "sub").mkdir()
        (target.path / "sub/more.txt").write_text("more")
        if self.misbehave:
            self.misbehave(target.path, report)
        return [path, target.path / "sub/more.txt"]


@pytest.fixture
def folder_format(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Folder]:
    """Adds the made-up format to the registry."""

    def install(misbehave: Callable[[Path, Report], None] | None = None) -> Folder:
        made, real = Folder(misbehave), registry.get
        monkeypatch.setattr(registry, "get", lambda name: made if name == "folder" else real(name))
        monkeypatch.setattr(registry, "FORMATS", {**registry.FORMATS, "folder": ("", "")})
        return made

    return install


# ---------------------------------------------------------------------- what a run leaves


def test_a_file_target_gets_its_report_beside_it(tiny: Path, out: Path) -> None:
    report = convert(tiny, out / "labels.ndjson", source="coco", target="ir")
    assert names(out) == ["labels.ndjson", "labels.report.json"]
    said = json.loads((out / "labels.report.json").read_text())
    assert said == json.loads(report.to_json())
    assert said["tool"]["name"] == "nucleus-convert"
    assert said["source"] == {"format": "coco", "name": "instances.json"}
    assert said["target"] == {"format": "ir"}
    assert said["options"]["read"]["predictions"] is False
    assert said["outputs"] == [{"file": "labels.ndjson", "bytes": (out / "labels.ndjson").stat().st_size}]
    assert said["balance"]["object"] == {"read": 2, "written": 2, "carried": 0, "dropped": 0, "skipped": 0}


def test_a_folder_target_gets_its_report_inside(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format()
    convert(tiny, out / "deep/er/data", source="coco", target="folder")
    assert names(out / "deep/er/data") == ["all.ndjson", "report.json", "sub", "sub/more.txt"]
    assert names(out / "deep") == [
        "er",
        *(f"er/{name}" for name in ["data", *(f"data/{n}" for n in names(out / "deep/er/data"))]),
    ]
    said = json.loads((out / "deep/er/data/report.json").read_text())
    assert [entry["file"] for entry in said["outputs"]] == ["all.ndjson", "sub/more.txt"]


def test_the_format_is_found_out(tiny: Path, out: Path) -> None:
    report = convert(tiny, out / "a.ndjson", target="ir")
    assert report.count("detected", "coco") == 1
    assert tree(out)["a.ndjson"] == tree(out)["a.ndjson"]
    with pytest.raises(DetectionError):
        convert(Path(__file__), out / "b.ndjson", target="ir")


def test_the_same_input_gives_the_same_bytes(many: Path, out: Path, folder_format: Any) -> None:
    folder_format()
    written = []
    for name, workers in (("a", 1), ("b", 1), ("c", 2), ("d", 3)):
        log = out / f"{name}.log"
        convert(many, out / name, source="ir", target="folder", workers=workers, log=log)
        written.append((tree(out / name), log.read_bytes()))
    assert written[0] == written[1] == written[2] == written[3]
    assert len(written[0][0]) == 3


def test_items_are_counted_once_although_the_source_is_read_again(many: Path, out: Path) -> None:
    report = convert(many, out / "a.ndjson", source="ir", target="ir", verify="all")
    assert report.ledger.balance()["item"]["read"] == parallel.CHUNK * 2 + 9


def test_progress_is_told(many: Path, out: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    convert(many, out / "a.ndjson", source="ir", target="ir", progress=lambda *args: told.append(args))
    size = parallel.CHUNK * 2 + 9
    assert [stage for stage, done, _ in told if done == 0] == ["reading", "writing", "checking"]
    assert ("writing", size, size) in told


# ---------------------------------------------------------------------- what is there already


def test_what_is_there_is_not_replaced_unasked(tiny: Path, out: Path) -> None:
    convert(tiny, out / "a.ndjson", source="coco", target="ir")
    before = tree(out)
    with pytest.raises(OutputExistsError):
        convert(tiny, out / "a.ndjson", source="coco", target="ir")
    (out / "a.ndjson").unlink()
    with pytest.raises(OutputExistsError, match=r"report\.json"):
        convert(tiny, out / "a.ndjson", source="coco", target="ir")
    assert tree(out) == {"a.report.json": before["a.report.json"]}


def test_overwriting_leaves_nothing_of_the_run_before(tiny: Path, bad: Path, out: Path) -> None:
    convert(bad, out / "a.ndjson", source="coco", target="ir", on_error="quarantine")
    assert names(out) == ["a.ndjson", "a.rejected.jsonl", "a.report.json"]
    convert(tiny, out / "a.ndjson", source="coco", target="ir", overwrite=True)
    assert names(out) == ["a.ndjson", "a.report.json"]
    convert(tiny, out / "b.ndjson", source="coco", target="ir")
    assert (out / "a.ndjson").read_bytes() == (out / "b.ndjson").read_bytes()


def test_a_folder_is_overwritten_only_if_all_in_it_is_ours(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format()
    target = out / "data"
    convert(tiny, target, source="coco", target="folder")
    convert(tiny, target, source="coco", target="folder", overwrite=True)
    (target / "sub/photo.jpg").write_text("mine")
    before = tree(out)
    with pytest.raises(WriteError, match=r"did not make: sub/photo.jpg\n"):
        convert(tiny, target, source="coco", target="folder", overwrite=True)
    assert tree(out) == before
    (target / "sub/photo.jpg").unlink()
    (target / "report.json").write_text('{"tool": {"name": "other"}, "outputs": [{"file": "all.ndjson"}]}')
    with pytest.raises(WriteError, match="and 2 more"):
        convert(tiny, target, source="coco", target="folder", overwrite=True)


def test_an_empty_folder_is_as_good_as_none(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format()
    convert(tiny, out, source="coco", target="folder")
    assert "all.ndjson" in names(out)


def test_a_folder_is_no_file_and_a_file_no_folder(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format()
    (out / "folder").mkdir()
    (out / "file").write_text("x")
    with pytest.raises(WriteError, match="is a folder, and this format makes a file"):
        convert(tiny, out / "folder", source="coco", target="ir", overwrite=True)
    with pytest.raises(WriteError, match="is a file, and this format makes a folder"):
        convert(tiny, out / "file", source="coco", target="folder", overwrite=True)


def test_the_source_is_not_overwritten(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format()
    source = out / "data/labels.ndjson"
    source.parent.mkdir()
    convert(tiny, source, source="coco", target="ir")
    before = tree(out)
    for target, name in ((source, "ir"), (source.parent, "folder"), (out, "folder")):
        with pytest.raises(WriteError, match="the source is in the target"):
            convert(source, target, source="ir", target=name, overwrite=True)
    assert tree(out) == before


def test_a_place_that_cannot_be_written_is_named_before_reading(
    tiny: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out / "file").write_text("x")
    monkeypatch.setattr(ir, "read", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(WriteError, match="cannot write here"):
        convert(out / "file", out / "file/sub/a.ndjson", source="ir", target="ir")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(WriteError, match="cannot write here"):
        convert(tiny, out / "a.ndjson", source="ir", target="ir")
    with pytest.raises(WriteError, match="no name"):
        convert(tiny, "/", source="ir", target="ir")


# ---------------------------------------------------------------------- failing midway


def failing(error: BaseException) -> Callable[[Path, Report], None]:
    def fail(path: Path, report: Report) -> None:
        assert (path / "all.ndjson").exists()
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), WriteError, "no room left"),
        (OSError(errno.EIO, "Input/output error"), WriteError, "Input/output error"),
        (MemoryError(), WriteError, "not enough memory"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
        (ZeroDivisionError("a bug"), ZeroDivisionError, "a bug"),
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_a_failure_leaves_what_was_there(
    tiny: Path,
    out: Path,
    folder_format: Any,
    error: BaseException,
    raised: type[BaseException],
    said: str,
    again: bool,
) -> None:
    made = folder_format()
    if again:
        convert(tiny, out / "data", source="coco", target="folder")
    before = tree(out)
    made.misbehave = failing(error)
    with pytest.raises(raised, match=said):
        convert(tiny, out / "data", source="coco", target="folder", overwrite=again)
    assert tree(out) == before
    assert names(out) == sorted({*before, *(["data", "data/sub"] if again else [])})


def test_a_failure_leaves_no_empty_folders(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format(failing(MemoryError()))
    with pytest.raises(WriteError):
        convert(tiny, out / "deep/er/data", source="coco", target="folder")
    assert names(out) == []


def test_a_file_that_vanishes_while_it_is_read_is_a_reading_error(many: Path, out: Path) -> None:
    with pytest.raises(ReadError, match=r"many\.ndjson: cannot be read \(No such file"):
        convert(
            many,
            out / "a.ndjson",
            source="ir",
            target="ir",
            progress=lambda stage, *_: stage == "writing" and many.unlink(True),
        )
    assert names(out) == []


def test_a_balance_that_does_not_close_is_a_bug(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format(lambda path, report: report.ledger.item("written"))
    with pytest.raises(InternalError, match="the balance does not close"):
        convert(tiny, out / "data", source="coco", target="folder")
    assert names(out) == []


# ---------------------------------------------------------------------- reading back


def spoil(path: Path, report: Report) -> None:
    text = (path / "all.ndjson").read_text()
    assert "20.5" in text
    (path / "all.ndjson").write_text(text.replace("20.5", "20.25"))


def test_what_does_not_read_back_is_not_left(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format(spoil)
    with pytest.raises(VerifyError, match=r"annotation 10: box width should be 20.5 and is 20.25"):
        convert(tiny, out / "data", source="coco", target="folder")
    assert names(out) == []


def test_what_cannot_be_read_back_is_not_left(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format(lambda path, report: (path / "all.ndjson").unlink())
    with pytest.raises(VerifyError, match="cannot be read back"):
        convert(tiny, out / "data", source="coco", target="folder")
    assert names(out) == []


def test_no_verification_is_noted(tiny: Path, out: Path, folder_format: Any) -> None:
    folder_format(spoil)
    report = convert(tiny, out / "data", source="coco", target="folder", verify="none")
    assert report.count("not-verified") == 1


def test_a_sample_is_noted(many: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "ALL_BELOW", 100)
    monkeypatch.setattr(verify, "STRETCHES", 4)
    sampled = convert(many, out / "a.ndjson", source="ir", target="ir")
    said = "compared 100 of 521 items with the source after writing"
    assert [finding.what for finding in sampled.findings.values()] == [said]
    whole = convert(many, out / "b.ndjson", source="ir", target="ir", verify="all")
    assert whole.findings == {}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("spoilt", [None, 0, -1])
def test_of_a_large_output_excerpts_are_read_back(
    tmp_path: Path, out: Path, boxes: Any, monkeypatch: pytest.MonkeyPatch, workers: int, spoilt: int | None
) -> None:
    if workers > 1 and not sys.platform.startswith("linux"):
        pytest.skip("only forked workers read back")
    monkeypatch.setattr(verify, "ALL_BELOW", 100)
    monkeypatch.setattr(parallel, "start_method", lambda: "fork")
    write_payloads = nucleus.write

    def written(*args: Any, **options: Any) -> list[Path]:
        paths: list[Path] = write_payloads(*args, **options)
        (path,) = [path for path in paths if path.name == "annotations.jsonl"]
        lines = path.read_bytes().splitlines(keepends=True)
        if spoilt is not None:
            said = json.loads(lines[spoilt])
            said["geometry"]["x"] = (said["geometry"]["x"] + 1) % 10  # of the same length
            lines[spoilt] = json.dumps(said, separators=(",", ":")).encode() + b"\n"
        path.write_bytes(b"".join(lines))
        return paths

    monkeypatch.setattr(nucleus, "write", written)
    size = 6 * parallel.CHUNK + 9
    source = tmp_path / "six.ndjson"
    ir.write(boxes(size), Target(source, source), options=ir.WriteOptions(), report=Report())
    if spoilt is not None:
        with pytest.raises(VerifyError, match="box x should be"):
            convert(source, out / "data", source="ir", target="nucleus", workers=workers)
        assert names(out) == []
        return
    report = convert(source, out / "data", source="ir", target="nucleus", workers=workers)
    told = [finding.what for finding in report.findings.values() if finding.code == "not-verified"]
    assert told == [f"compared {3 * parallel.CHUNK + 9:,} of {size:,} items with the source after writing"]


# ---------------------------------------------------------------------- findings


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """An ir file with a track (which the made-up format gives up) and a group (which it carries)."""
    path = tmp_path / "tracked.ndjson"
    record = Record(Item(id=1), (Annotation(id=1, track=5, group=6, shapes=(Box(1, 2, 3, 4),)),))
    write(from_records(Header(), [record]), path, "ir")
    return path


def test_loss_can_be_refused(tracked: Path, out: Path, folder_format: Any) -> None:
    folder_format()
    with pytest.raises(LossRefusedError, match="1 finding of 1 kind that --fail-on loss forbids") as caught:
        convert(tracked, out / "data", source="ir", target="folder", fail_on="loss")
    assert caught.value.exit_code == 3
    assert caught.value.report is not None
    assert caught.value.report.count("dropped", "track") == 1
    assert names(out) == []
    report = convert(tracked, out / "data", source="ir", target="folder")
    assert report.count("dropped", "track") == 1
    assert report.count("carried", "group") == 1


def test_warnings_can_be_refused_and_notes_never_are(tracked: Path, out: Path, monkeypatch: Any) -> None:
    convert(tracked, out / "a.ndjson", source="ir", target="ir", fail_on="warning", verify="none")

    def warned(source: Path, *, options: Any, report: Report) -> LabelSet:
        report.add("size-missing", "of 1 image")
        return read_ir(source, options=options, report=report)

    read_ir = ir.read
    monkeypatch.setattr(ir, "read", warned)
    convert(tracked, out / "b.ndjson", source="ir", target="ir", fail_on="loss")
    with pytest.raises(LossRefusedError, match="--fail-on warning"):
        convert(tracked, out / "c.ndjson", source="ir", target="ir", fail_on="warning")


def test_a_dry_run_says_all_and_leaves_nothing(tracked: Path, out: Path, folder_format: Any) -> None:
    folder_format()
    for target in (out / "data", None):
        report = convert(tracked, target, source="ir", target="folder", dry_run=True)
        assert report.count("dropped", "track") == 1
        assert report.outputs["outputs"][0]["file"] == "all.ndjson"
        assert names(out) == []
    with pytest.raises(LossRefusedError):
        convert(tracked, None, source="ir", target="folder", dry_run=True, fail_on="loss")
    with pytest.raises(OptionError, match="no target"):
        convert(tracked, None, source="ir", target="folder")


def test_a_dry_run_says_the_same_as_a_run(tracked: Path, out: Path, folder_format: Any) -> None:
    folder_format()
    dry = convert(tracked, out / "data", source="ir", target="folder", dry_run=True)
    assert dry.to_json() == convert(tracked, out / "data", source="ir", target="folder").to_json()


def test_the_log_has_every_finding(out: Path, bad: Path) -> None:
    with pytest.raises(ConvertError):
        convert(bad, out / "a.ndjson", source="coco", target="ir", log=out / "log")
    convert(bad, out / "a.ndjson", source="coco", target="ir", on_error="skip", log=out / "log")
    entries = [json.loads(line) for line in (out / "log").read_text().splitlines()]
    assert [entry["code"] for entry in entries].count("rejected") == 2
    with pytest.raises(WriteError, match="the log cannot be written"):
        convert(bad, out / "b.ndjson", source="coco", target="ir", log=out / "none/log")


# ---------------------------------------------------------------------- bad records


def test_bad_records_stop_the_run(bad: Path, out: Path) -> None:
    with pytest.raises(ReadError) as caught:
        convert(bad, out / "a.ndjson", source="coco", target="ir")
    assert caught.value.where is not None
    assert "--on-error" in (caught.value.hint or "")
    assert names(out) == []


def test_bad_records_can_be_left_out(bad: Path, out: Path) -> None:
    report = convert(bad, out / "a.ndjson", source="coco", target="ir", on_error="skip")
    assert names(out) == ["a.ndjson", "a.report.json"]
    assert report.ledger.balance()["object"] == {
        "read": 3,
        "written": 1,
        "carried": 0,
        "dropped": 0,
        "skipped": 2,
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_records_can_be_kept_verbatim(out: Path, many: Path, workers: int) -> None:
    lines = many.read_text().splitlines(keepends=True)
    for place in (5, 300, 500):
        lines[place] = f"line {place} is broken\n"
    many.write_text("".join(lines))
    report = convert(many, out / "a.ndjson", source="ir", target="ir", on_error="quarantine", workers=workers)
    kept = [json.loads(line) for line in (out / "a.rejected.jsonl").read_text().splitlines()]
    assert [entry["record"] for entry in kept] == [f"line {place} is broken" for place in (5, 300, 500)]
    assert [entry["where"]["line"] for entry in kept] == [6, 301, 501]
    assert report.ledger.balance()["item"]["skipped"] == 3
    assert report.count("rejected") == 3


def test_mended_records_can_be_replayed(out: Path, many: Path) -> None:
    """The rejected lines, mended, under the file's own header are a data set of the rest."""
    good = many.read_text().splitlines(keepends=True)
    broken = list(good)
    broken[7] = good[7].replace('"id":', '"idd":')
    many.write_text("".join(broken))
    convert(many, out / "a.ndjson", source="ir", target="ir", on_error="quarantine")
    [kept] = [json.loads(line) for line in (out / "a.rejected.jsonl").read_text().splitlines()]
    mended = good[0] + kept["record"].replace('"idd":', '"id":') + "\n"
    (out / "rest.ndjson").write_text(mended)
    convert(out / "rest.ndjson", out / "b.ndjson", source="ir", target="ir")
    written = (out / "a.ndjson").read_text().splitlines() + (out / "b.ndjson").read_text().splitlines()[1:]
    assert sorted(written) == sorted(line.rstrip() for line in good)


# ---------------------------------------------------------------------- zips


def test_a_zip_reads_as_its_folder_and_says_its_own_name(bad: Path, out: Path) -> None:
    with zipfile.ZipFile(out / "export.zip", "w") as archive:
        archive.write(bad, "export/annotations/instances.json")
    written = []
    for name in ("a", "b"):
        convert(
            out / "export.zip",
            out / f"{name}.ndjson",
            target="ir",
            on_error="quarantine",
            log=out / f"{name}.log",
        )
        files = [
            (out / f"{name}{suffix}").read_text() for suffix in (".report.json", ".rejected.jsonl", ".log")
        ]
        written.append([text.replace(f"{name}.ndjson", "") for text in files])
        assert not any("nucleus-convert-" in text for text in files)
    assert written[0] == written[1]
    with pytest.raises(ConvertError) as caught:
        convert(out / "export.zip", out / "c.ndjson", target="ir")
    assert "nucleus-convert-" not in str(caught.value)


def test_a_zip_can_be_opened_for_reading(many: Path, out: Path, scratch: Path) -> None:
    with zipfile.ZipFile(out / "a.zip", "w") as archive:
        archive.write(many, "labels.ndjson")
    labels = read(out / "a.zip")
    assert [record.item.id for record in labels][:3] == [0, 1, 2]
    for left in scratch.iterdir():  # it stays until the program ends
        shutil.rmtree(left)


# ---------------------------------------------------------------------- options


def test_options_go_to_the_format_that_has_them(tracked: Path, out: Path, folder_format: Any) -> None:
    made = folder_format()
    convert(tracked, out / "a", source="ir", target="folder", style="fancy", root="x")
    assert made.seen == [Folder.WriteOptions(style="fancy", root="x")]
    convert(out / "a", out / "b", source="folder", target="folder", root="y")
    said = json.loads((out / "b/report.json").read_text())["options"]
    assert (said["read"]["root"], said["write"]["root"]) == ("y", "y")


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"stile": "plain"}, "unknown option 'stile'", "did you mean 'style'?"),
        ({"zzz": 1}, "unknown option 'zzz'", "options: root, style, size"),
        ({"style": "loud"}, "option 'style': input should be 'plain' or 'fancy', not 'loud'", None),
        ({"size": 0}, "option 'size': input should be greater than or equal to 1, not 0", None),
        ({"size": 0, "style": 0}, "and 1 more like it", None),
        ({"on_error": "ignore"}, "option 'on_error' cannot be 'ignore'", "one of fail, skip, quarantine"),
        ({"verify": True}, "option 'verify' cannot be True", "one of auto, all, none"),
    ],
)
def test_a_wrong_option_is_named(
    tracked: Path, out: Path, folder_format: Any, options: dict[str, Any], message: str, hint: str | None
) -> None:
    folder_format()
    with pytest.raises(OptionError) as caught:
        convert(tracked, out / "a", source="ir", target="folder", **options)
    assert message in caught.value.message
    assert caught.value.hint == hint


def test_unknown_formats_are_named(tiny: Path, out: Path) -> None:
    with pytest.raises(UnknownFormatError, match="did you mean 'coco'"):
        convert(tiny, out / "a", source="cocoo")
    with pytest.raises(UnknownFormatError, match="export COCO from it"):
        convert(tiny, out / "a", source="labelme")


def test_labels_are_mapped(tiny: Path, out: Path) -> None:
    (out / "map.toml").write_text('drop = ["person"]\n[rename]\ncar = "auto"\n')
    report = convert(tiny, out / "a.ndjson", source="coco", target="ir", labels=out / "map.toml")
    labels = read(out / "a.ndjson", "ir")
    assert [label.name for label in labels.header.labels] == ["auto"]
    assert [annotation.label for annotation in labels.annotations()] == ["auto"]
    assert report.ledger.balance()["object"]["dropped"] == 1
    assert report.outputs["options"]["labels"] == "map.toml"
    (out / "map.toml").write_text('drop = ["preson"]\n')
    with pytest.raises(OptionError, match=r"map.toml: 'drop' names 'preson'.*\n.*'person'\?"):
        convert(tiny, out / "b.ndjson", source="coco", target="ir", labels=out / "map.toml")


# ---------------------------------------------------------------------- read and write


def _without_dogs(record: Record) -> Record:
    kept = tuple(annotation for annotation in record.annotations if annotation.label != "dog")
    return Record(record.item, kept)


def test_read_change_write(many: Path, out: Path) -> None:
    report = Report()
    labels = read(many, report=report).map(_without_dogs)
    write(labels, out / "cats.ndjson", "ir", report=report)
    assert {annotation.label for annotation in read(out / "cats.ndjson").annotations()} == {"cat"}
    balance = report.ledger.balance()["object"]
    assert (balance["read"], balance["written"], balance["dropped"]) == (1042, 521, 521)
    assert names(out) == ["cats.ndjson", "cats.report.json"]
    with pytest.raises(OutputExistsError):
        write(labels, out / "cats.ndjson", "ir")
    write(labels, out / "cats.ndjson", "ir", overwrite=True)


def test_a_function_that_workers_cannot_have_is_named(many: Path, out: Path) -> None:
    labels = read(many, "ir").map(lambda record: record)
    with pytest.raises(OptionError, match="cannot be handed to worker processes"):
        write(labels, out / "a.ndjson", "ir", workers=2)
    assert names(out) == []
    write(labels, out / "a.ndjson", "ir")


def test_errors_of_reading_come_as_they_are(out: Path) -> None:
    (out / "a.ndjson").write_text("{")
    with pytest.raises(MalformedFileError):
        read(out / "a.ndjson", "ir")
    (out / "a.ndjson").write_text('{"header":{},"model_version":9}\n')
    with pytest.raises(SchemaError):
        read(out / "a.ndjson", "ir")
    with pytest.raises(OptionError):
        read(out / "a.ndjson", "ir", x=1)
    with pytest.raises(ReadError):
        read(out / "none.ndjson")


def test_rejected_records_of_a_callers_report_are_written(many: Path, out: Path) -> None:
    many.write_text(many.read_text() + "broken\n")
    report = Report("quarantine")
    write(read(many, report=report), out / "a.ndjson", "ir", report=report)
    assert json.loads((out / "a.rejected.jsonl").read_text())["record"] == "broken"


def test_a_worker_that_dies_is_an_error_that_says_so(many: Path, out: Path) -> None:
    labels = read(many, "ir").map(_dies)
    with pytest.raises(WriteError, match="a worker process died"):
        write(labels, out / "a.ndjson", "ir", workers=2)
    assert names(out) == []


def _dies(record: Record) -> Record:
    os._exit(1)

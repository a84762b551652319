"""The commands inspect and check: what they print, their exit codes, and that they take what every reader takes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert import cli
from nucleus_convert.converters import looks, registry
from nucleus_convert.converters.errors import OptionError
from nucleus_convert.converters.options import described

ROOT = Path(__file__).resolve().parent.parent
PARK = ROOT / "examples/park/annotations"
INSTANCES = str(PARK / "instances.json")


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = cli.run(list(args))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def broken(folder: Path, change: Any) -> str:
    data = json.loads(Path(INSTANCES).read_text())
    change(data)
    path = folder / "broken.json"
    path.write_text(json.dumps(data))
    return str(path)


def outside(data: Any) -> None:
    data["annotations"][0]["bbox"] = [5000, 1, 5, 5]


def beyond(data: Any) -> None:
    data["annotations"][0]["bbox"][2] = 5000


def test_a_clean_set(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", INSTANCES)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{INSTANCES}: coco, 12 items, 34 objects",
        "no errors, no warnings, 1 note; -v shows the notes",
    ]


@pytest.mark.parametrize(
    ("change", "fail_on", "code"),
    [
        (outside, "error", 3),
        (outside, "warning", 3),
        (outside, "never", 0),
        (beyond, "error", 0),
        (beyond, "warning", 3),
        (beyond, "never", 0),
        (lambda data: None, "warning", 0),
    ],
)
def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, fail_on: str, code: int) -> None:
    path = broken(tmp_path, change)
    assert run(capsys, "check", path, "--fail-on", fail_on)[0] == code
    quiet = run(capsys, "check", path, "--fail-on", fail_on, "-q")
    assert quiet == (code, "", "")


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "check", broken(tmp_path, outside))
    assert code == 3
    assert "ERROR    off-image  box lies wholly outside the image (worst pixels: 4,645), e.g. item 0" in out
    assert out.splitlines()[-1] == "1 error, 1 note; -v shows the notes"
    _, out, _ = run(capsys, "check", broken(tmp_path, outside), "-v")
    assert "Most likely it is of another image" in out
    assert "NOTE     label-unused  label without objects\n" in out
    assert "  at 'kite'\n" in out


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "check", broken(tmp_path, outside), "--json")
    found = json.loads(out)
    assert code == 3
    assert found["counts"] == {"ERROR": 1, "WARNING": 0, "NOTE": 1}
    assert (found["format"], found["items"], found["objects"], found["complete"]) == ("coco", 12, 34, True)
    first = found["problems"][0]
    assert (first["code"], first["level"], first["family"], first["count"]) == ("off-image", "ERROR", "geometry", 1)
    assert set(first["examples"][0]) == {"item", "annotation"}
    code, out, _ = run(capsys, "inspect", INSTANCES, "--json")
    assert (code, json.loads(out)["items"]["count"]) == (0, 12)


def test_a_log_of_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(data: Any) -> None:
        for row in data["annotations"]:
            row["bbox"] = [5000, 1, 5, 5]

    run(capsys, "check", broken(tmp_path, change), "--log", str(tmp_path / "log.jsonl"))
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert sum(entry["code"] == "off-image" for entry in entries) == 34


def test_a_log_has_every_finding_of_the_reader_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(data: Any) -> None:
        for row in data["annotations"][:20]:
            row["bbox"] = "x"
        for number, row in enumerate(data["annotations"][20:]):
            row["attributes"] = {"k": (1, "x")[number % 2]}

    path, log = broken(tmp_path, change), tmp_path / "log.jsonl"
    for more in ([], ["--as", "nucleus"]):
        found = json.loads(run(capsys, "check", path, "--json", "--log", str(log), *more)[1])
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        counts: dict[tuple[str, str], int] = {}
        for entry in entries:
            key = entry["code"], entry["level"]
            counts[key] = counts.get(key, 0) + entry.get("count", 1)
        assert counts["unreadable", "ERROR"] == 20
        assert (("metadata-as-string", "WARNING") in counts) is bool(more)
        told: dict[tuple[str, str], int] = {}
        for one in found["problems"]:
            key = one["code"], one["level"]
            told[key] = told.get(key, 0) + one["count"]
        assert counts == told


def test_json_has_no_infinity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(data: Any) -> None:
        data["annotations"][0]["bbox"] = [1e308, 1e308, 1e308, 1e308]
        data["annotations"][1]["bbox"] = [-1e308, 5, 1e308, 1e308]

    def refuse(name: str) -> None:
        raise AssertionError(name)

    path, log = broken(tmp_path, change), tmp_path / "log.jsonl"
    for command in (["check", "--log", str(log)], ["check", "--as", "nucleus"], ["inspect"]):
        found = json.loads(run(capsys, command[0], path, "--json", *command[1:])[1], parse_constant=refuse)
        assert {problem["code"] for problem in found["problems"]} >= {"not-finite", "off-image"}
    assert [json.loads(line, parse_constant=refuse) for line in log.read_text().splitlines()]


def test_rows_that_cannot_be_read_are_all_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(data: Any) -> None:
        outside(data)
        data["annotations"][3]["bbox"] = "x"
        data["annotations"][9]["category_id"] = 12345
        data["annotations"][11]["image_id"] = 12345

    _, out, _ = run(capsys, "check", broken(tmp_path, change), "--json")
    found = json.loads(out)
    assert sum(problem["count"] for problem in found["problems"] if problem["code"] == "unreadable") == 3
    assert sum(problem["count"] for problem in found["problems"] if problem["code"] == "off-image") == 1


def test_a_file_that_is_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.json"
    path.write_text(Path(INSTANCES).read_text()[:-300])
    code, out, err = run(capsys, "check", str(path), "--source", "coco")
    assert code == 31
    assert "ERROR    unreadable" in out
    assert "error: " in err
    code, out, _ = run(capsys, "inspect", str(path), "--source", "coco")
    assert code == 31


def test_one_label_over_two_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(data: Any) -> None:
        data["categories"].append({"id": 999, "name": "dog"})
        data["annotations"][0]["category_id"] = 999

    _, out, _ = run(capsys, "check", broken(tmp_path, change))
    assert "WARNING  label-two-ids  one label over two ids: category 999 'dog' becomes" in out


def test_options_of_the_reader_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    results = str(PARK / "results_bbox.json")
    _, out, _ = run(capsys, "inspect", results, "--json")
    assert {entry["label"] for entry in json.loads(out)["labels"]} >= {"1", "18"}
    _, out, _ = run(capsys, "inspect", results, "--ground-truth", INSTANCES, "--json")
    assert {entry["label"] for entry in json.loads(out)["labels"]} >= {"person", "dog"}
    _, out, _ = run(capsys, "inspect", INSTANCES, "--predictions", "--json")
    assert json.loads(out)["objects"]["predictions"] == 34


def test_options_of_another_reader_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "inspect", INSTANCES, "--void", "label")
    assert code == 23
    assert "unknown option 'void'" in err
    code, _, err = run(capsys, "check", INSTANCES, "--image-root", "s3://b")
    assert code == 23  # an option of writing, without --as nucleus
    assert run(capsys, "check", INSTANCES, "--image-root", "s3://b", "--as", "nucleus")[0] == 0


@pytest.mark.parametrize("command", ["inspect", "check"])
def test_every_option_of_every_reader_is_there(capsys: pytest.CaptureFixture[str], command: str) -> None:
    _, out, _ = run(capsys, command, "--help")
    for name in registry.FORMATS:
        for one in described(registry.get(name).ReadOptions, None):
            assert f"--{one.flag.split('/')[0]}" in out
    assert ("--segmentation" in out) is (command == "check")


def test_the_upload_of_another_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", INSTANCES, "--as", "nucleus")[0] == 0
    code, out, _ = run(capsys, "check", INSTANCES, "--as", "nucleus", "--asynchronous")
    assert code == 3
    assert "local path that this upload does not take: mask [3 times]" in out
    args = ("--image-root", "s3://b/i", "--mask-url-prefix", "s3://b/m", "--fail-on", "warning")
    code, out, _ = run(capsys, "check", INSTANCES, "--as", "nucleus", "--asynchronous", *args)
    assert code == 0, out


def test_an_upload_tells_what_is_wrong_with_the_source_too(tmp_path: Path) -> None:
    def change(data: Any) -> None:
        outside(data)
        data["annotations"][3]["score"] = 1.5
        data["annotations"][5]["attributes"] = {"age": 3}
        data["annotations"][6]["attributes"] = {"age": "old"}

    path = broken(tmp_path, change)

    def counts(**options: Any) -> dict[str, int]:
        return {p.code: p.count for p in looks.check(path, **options).problems.found.values() if p.level}

    alone, together = counts(), counts(target="nucleus")
    assert alone["confidence-range"] == alone["off-image"] == 1
    assert together == {**alone, "metadata-as-string": together["metadata-as-string"]}


def test_a_zip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "a/instances.json", Path(broken(tmp_path, lambda data: data["annotations"][3].pop("bbox"))).read_text()
        )
        archive.writestr("a/nothing.txt", "")
    code, out, _ = run(capsys, "check", str(path), "-v", "--source", "coco")
    assert code == 0
    assert "/tmp/nucleus-convert" not in out
    assert out.startswith(f"{path}: coco, 12 items, 34 objects")


def test_the_folder_that_a_zip_is_unpacked_to_shows_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, log = tmp_path / "set.zip", tmp_path / "log.jsonl"
    row = {"label": "car", "type": "box", "geometry": {}, "reference_id": "a"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("n/annotations.jsonl", json.dumps(row) + "\n")
        archive.writestr("n/items.jsonl", "\xff\xfe".encode("latin-1"))
    code, out, err = run(capsys, "check", str(path), "-v", "--log", str(log))
    assert code == 31
    assert "set.zip/n/annotations.jsonl:1" in out
    assert "set.zip/n/items.jsonl" in err
    assert "set.zip/n/annotations.jsonl" in log.read_text()
    assert "nucleus-convert-" not in out + err + log.read_text()


@pytest.mark.parametrize("command", ["inspect", "check"])
def test_what_is_no_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    (tmp_path / "x.txt").write_text("hello")
    assert run(capsys, command, str(tmp_path / "x.txt"))[0] == 22
    assert run(capsys, command, str(tmp_path / "gone"))[0] == 30
    assert run(capsys, command, INSTANCES, "--source", "labelme")[0] == 21
    assert run(capsys, command)[0] == 2


def test_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    code, out, _ = run(capsys, "inspect", INSTANCES, "--html", str(page))
    assert (code, out) == (0, "")
    assert "34; 2.8 an item" in page.read_text()
    assert run(capsys, "inspect", INSTANCES, "--html", str(page))[0] == 41
    assert run(capsys, "inspect", INSTANCES, "--html", str(page), "--overwrite")[0] == 0
    assert run(capsys, "inspect", INSTANCES, "--html", str(tmp_path))[0] == 41


def test_from_python() -> None:
    looked = looks.check(INSTANCES, target="nucleus", image_root="s3://b")
    assert not looked.fails("warning")
    with pytest.raises(OptionError, match=r"0\.3"):
        looks.check(INSTANCES, duplicate_iou=0.3)
    with pytest.raises(OptionError, match="as 'coco'"):
        looks.check(INSTANCES, target="coco")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", registry.FORMATS)
def test_every_format_is_looked_at(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was written from the example holds no error in any format, and the same number of items."""
    spec = registry.get(name).SPEC
    target = tmp_path / (f"set{spec.suffix}" if spec.layout == "file" else "set")
    if name == "coco":
        target = target.with_suffix(".json")
    assert (
        cli.run([f"{'ir' if name == 'coco' else 'coco'}2{name}", _source(name, tmp_path), "-o", str(target), "-q"]) == 0
    )
    capsys.readouterr()
    code, out, err = run(capsys, "check", str(target), "--source", name)
    assert (code, err) == (0, ""), out
    code, out, _ = run(capsys, "inspect", str(target), "--source", name, "--json")
    assert code == 0
    assert json.loads(out)["items"]["count"] in (12, 4)  # masks: of pictures that have one


def _source(name: str, folder: Path) -> str:
    if name != "coco":
        return INSTANCES
    assert cli.run(["coco2ir", INSTANCES, "-o", str(folder / "source.ndjson"), "-q"]) == 0
    return str(folder / "source.ndjson")


@pytest.mark.parametrize("look", ["inspect", "check"])
def test_a_large_data_set_has_more_workers_unless_told_otherwise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    asked: list[int | None] = []

    def hands(wanted: int | None, _items: int | None) -> int:
        asked.append(wanted)
        return 1

    monkeypatch.setattr(looks, "hands", hands)
    run(capsys, look, INSTANCES)
    run(capsys, look, INSTANCES, "--workers", "1")
    assert asked == [None, 1]

"""The report: the catalogue, the counting, the balance."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from nucleus_convert.converters import summary
from nucleus_convert.converters.checking.catalogue import RULES
from nucleus_convert.converters.codes import CATALOGUE, Code, Severity
from nucleus_convert.converters.errors import InternalError, SchemaError, Where
from nucleus_convert.converters.model import Annotation, Box, Item, Keypoints, Record
from nucleus_convert.converters.report import EXAMPLES, Report

ROOT = Path(__file__).resolve().parent.parent
BOX = Box(1, 2, 3, 4)
RECORD = Record(Item(id=1), (Annotation(shapes=(BOX, Keypoints((1, 2, 2)))), Annotation(shapes=(BOX,))))


def written(report: Report) -> None:
    report.ledger.item("written")
    report.ledger.fate((("object", "written"), ("box", "written"), ("keypoints", "written")))
    report.ledger.fate((("object", "written"), ("box", "written")))


# ---------------------------------------------------------------------- the catalogue


def test_every_code_is_in_the_catalogue() -> None:
    assert set(CATALOGUE) == set(Code)


@pytest.mark.parametrize("code", Code)
def test_an_entry_says_something_and_what_to_do(code: Code) -> None:
    entry = CATALOGUE[code]
    assert set(re.findall(r"{(\w+)}", entry.text)) <= {"what", "format"}
    assert "{what}" in entry.text
    assert entry.advice.endswith(".")
    assert isinstance(entry.severity, Severity)


def test_every_code_is_used_somewhere() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "converters").rglob("*.py"))
    text = text.replace((ROOT / "converters/codes.py").read_text(encoding="utf-8"), "")
    unused = {code for code in Code if f"Code.{code.name}" not in text and f'"{code}"' not in text}
    assert unused <= {Code.ROUNDED}  # for formats of few digits (YOLO, KITTI), which are to come


def test_the_documented_findings_are_the_catalogues() -> None:
    text = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    assert rows == [
        (str(code), entry.severity.name, entry.text, entry.advice) for code, entry in CATALOGUE.items()
    ]


# ---------------------------------------------------------------------- findings


def test_findings_are_counted_by_kind_and_the_first_examples_kept() -> None:
    report = Report()
    for number in range(10):
        report.add("dropped", "track", format="coco", where=Where(item=str(number)))
    report.add("dropped", "track", format="nucleus", count=3)
    report.add(Code.CARRIED, "track", format="coco")
    first = report.findings[Code.DROPPED, "coco", "track"]
    assert (first.count, first.severity) == (10, Severity.LOSS)
    assert first.text == "coco cannot hold track; it is not in the output"
    assert [where.item for where in first.examples] == [str(number) for number in range(EXAMPLES)]
    assert report.count("dropped") == 13
    assert report.count("dropped", "group") == 0
    assert report.worst is Severity.LOSS
    assert [finding.count for finding in report.sorted()] == [10, 3, 1]


def test_a_code_that_is_not_in_the_catalogue_is_a_bug() -> None:
    with pytest.raises(ValueError, match="lost"):
        Report().add("lost", "x")


def test_the_worst_measure_is_kept() -> None:
    report = Report()
    for value in (0.9, 0.5, 0.7):
        report.add("approximated", "a", measure=("IoU", value))
        report.add("approximated", "b", measure=("pixels", value))
    worst = {finding.what: finding.worst for finding in report.findings.values()}
    assert worst == {"a": 0.5, "b": 0.9}


def test_workers_reports_add_up_to_one() -> None:
    def note(report: Report, number: int) -> None:
        report.add("approximated", "x", where=Where(item=str(number)), measure=("IoU", 1 / (number + 1)))
        report.ledger.read(RECORD)
        written(report)

    alone, log = Report(log=io.StringIO()), io.StringIO()
    many = Report(log=log)
    for number in range(9):
        note(alone, number)
    for start in (0, 3, 6):
        child = many.child(logged=True)
        for number in range(start, start + 3):
            note(child, number)
        many.merge(child)
    assert many.to_json() == alone.to_json()
    assert [json.loads(line)["where"]["item"] for line in log.getvalue().splitlines()] == list("012345678")


# ---------------------------------------------------------------------- bad records


def test_the_policy_on_bad_records() -> None:
    error = SchemaError("x is no number", Where(file="a", line=3))
    with pytest.raises(SchemaError, match="x is no number") as caught:
        Report().reject(error, {"x": "?"})
    assert "--on-error" in (caught.value.hint or "")
    skipping, keeping, spool = Report("skip"), Report("quarantine"), io.StringIO()
    spooling = Report("quarantine", rejects=spool)
    for report in (skipping, keeping, spooling):
        report.reject(error, {"x": "?"})
        assert report.count("rejected") == 1
        assert report.ledger.balance()["object"]["skipped"] == 1
        report.ledger.check()
    assert skipping.rejected == spooling.rejected == []
    assert keeping.rejected[0].record == {"x": "?"}
    assert json.loads(spool.getvalue()) == {
        "reason": "x is no number",
        "where": {"file": "a", "line": 3},
        "record": {"x": "?"},
        "hint": None,
    }


# ---------------------------------------------------------------------- the balance


def test_the_balance_closes_when_everything_is_accounted_for() -> None:
    report = Report()
    report.ledger.read(RECORD)
    written(report)
    report.ledger.check()
    assert report.ledger.balance()["box"] == {
        "read": 2,
        "written": 2,
        "carried": 0,
        "dropped": 0,
        "skipped": 0,
    }


def test_the_balance_does_not_close_when_something_is_missing() -> None:
    report = Report()
    report.ledger.read(RECORD)
    with pytest.raises(InternalError, match="'item' read"):
        report.ledger.check()
    report.ledger.item("written")
    with pytest.raises(InternalError, match="'object'"):
        report.ledger.check()
    report.ledger.drop_annotation(RECORD.annotations[0].shapes)
    report.ledger.fate((("object", "written"),))
    with pytest.raises(InternalError, match="2 of kind 'box' read, 1 accounted"):
        report.ledger.check()


def test_the_balance_does_not_close_when_something_is_written_twice() -> None:
    report = Report()
    report.ledger.read(RECORD)
    written(report)
    report.ledger.fate((("polygon", "written"),))
    with pytest.raises(InternalError, match="0 of kind 'polygon' read, 1 accounted"):
        report.ledger.check()


def test_a_dropped_record_is_dropped_whole() -> None:
    report = Report()
    report.ledger.read(RECORD)
    report.ledger.drop_record(RECORD)
    report.ledger.check()
    assert report.ledger.balance()["keypoints"]["dropped"] == 1


# ---------------------------------------------------------------------- the printed report


def test_the_summary_names_what_is_grave_and_counts_the_rest() -> None:
    report = Report()
    report.ledger.read(RECORD)
    written(report)
    report.add("carried", "track", format="nucleus", where=Where(item="1"), count=3)
    report.add("dropped", "group", format="nucleus", where=Where(item="a.jpg"), count=1_000)
    report.add("no-shape", "person", where=Where(file="a.json", path="$.annotations[3]"))
    lines = [line.text for line in summary.lines(report, "out/", where="out/report.json")]
    assert lines == [
        "1 item, 2 objects read -> 1 item, 2 objects written to out/",
        "LOSS    nucleus cannot hold group; it is not in the output [1,000 times], e.g. item a.jpg",
        "WARNING object without any shape (person): a.json $.annotations[3]",
        "1 note; see out/report.json",
    ]
    verbose = [line.text for line in summary.lines(report, "out/", verbose=True, where="out/report.json")]
    assert any("travels along" in line for line in verbose)
    assert verbose[-1] == "report: out/report.json"


def test_the_summary_of_a_dry_run_and_of_what_did_not_make_it() -> None:
    report = Report("skip")
    report.ledger.read(RECORD)
    written(report)
    report.reject(SchemaError("bad"), None)
    [first, loss] = [line.text for line in summary.lines(report, None)]
    assert first == "1 item, 3 objects read -> 1 item, 2 objects would be written (1 object skipped)"
    assert loss == "LOSS    record not read: bad"


def test_the_summary_says_what_was_found_out_first() -> None:
    report = Report()
    report.add("detected", "coco")
    lines = [line.text for line in summary.lines(report, "out", where="out/report.json")]
    assert lines[0] == "source read as coco"
    assert lines[-1] == "report: out/report.json"


def test_a_long_report_is_cut() -> None:
    report = Report()
    for number in range(summary.SHOWN + 5):
        report.add("dropped", f"thing {number}")
    lines = [line.text for line in summary.lines(report, "out")]
    assert lines[-1] == "... and 5 more kinds of finding"
    assert len(lines) == summary.SHOWN + 2


def test_the_documented_problems_are_the_catalogues() -> None:
    text = (ROOT / "docs/problems.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    assert sorted(rows) == sorted(
        (str(code), rule.level.name, rule.text, rule.advice) for code, rule in RULES.items()
    )

"""VOC files are read once, in one go, by several processes: and say what the long way, file by file, says."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nucleus_convert.converters import parallel, registry
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Box, Record
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.voc import survey
from nucleus_convert.converters.voc.records import VocSource

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "voc"
VOC = registry.get("voc")


def opened(source: Path, report: Report | None = None, **options: Any) -> tuple[LabelSet, VocSource]:
    labels = VOC.read(source, options=VOC.ReadOptions(**options), report=report or Report("skip"))
    assert type(labels.source) is VocSource
    return labels, labels.source


def said(source: VocSource, stop: int | None = None) -> tuple[list[Record], dict[str, Any], Any]:
    report = Report("quarantine")
    records = list(source(report, 0, stop))
    return records, report.to_dict(), report.rejected


def anything(rng: random.Random) -> str:
    """An annotation file of what is usual, with now and then something that is not."""

    def odd(usual: str, *others: str) -> str:
        return usual if rng.random() < 0.95 else rng.choice(others)

    objects = []
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        x, y = rng.randint(1, 300), rng.randint(1, 300)
        low = (odd(str(x), "0", "-3", f"{x}.5", f" {x} ", "1e2", "x"), odd(str(y), "0", "00", "0.25"))
        high = (odd(str(x + 40), str(x), "500", "501", f"{x + 3}.75", "12345678901234567890123"), odd(str(y + 9), "1"))
        sides = zip(("xmin", "ymin", "xmax", "ymax"), (*low, *high), strict=True)
        box = "".join(f"<{name}>{value}</{name}>" for name, value in sides)
        pose = f"<pose>{rng.choice(['Left', 'Unspecified'])}</pose>"
        pose = odd(pose, "", "<pose>none</pose>", "<pose> Rear </pose>")
        flag = odd("0", "1", " 1", "true", "2", "")
        more = odd("", "<id>7</id>", "<part><name>head</name></part>", "<actions><run>1</run></actions>")
        name = odd(rng.choice(["cat", "dog"]), " cat ", "", "caf\u00e9", "a &amp; b")
        objects.append(
            f"<object><name>{name}</name>{pose}<truncated>{flag}</truncated><difficult>{odd('0', '1')}</difficult>"
            f"<bndbox>{box}</bndbox>{more}</object>"
        )
    filename = "<filename>{stem}.jpg</filename>"
    filename = odd(filename, "", "<filename>other.jpg</filename>", "<filename>a/b.png</filename>")
    size = "<size><width>500</width><height>400</height><depth>3</depth></size>"
    size = odd(size, "", "<size><width>0</width></size>")
    database = odd("The VOC2007 Database", "Mine")
    head = f"{filename}<source><database>{database}</database></source>{size}"
    return odd("<annotation>{}</annotation>", "<annotation>{}", "<annotation><!-- -->{}</annotation>").format(
        head + "\n".join(objects)
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 files, the last stretch of which has nothing wrong with it, in a tree with lists."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "Annotations").mkdir()
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    rng = random.Random(5)
    names = [f"{number:04}" for number in range(600)]
    for name in names:
        (folder / f"Annotations/{name}.xml").write_text(anything(rng).replace("{stem}", name), encoding="utf-8")
    (folder / "ImageSets/Main/train.txt").write_text("\n".join(names[:400]))
    (folder / "ImageSets/Main/val.txt").write_text("\n".join(f"{name}  " for name in names[400:590]))
    (folder / "ImageSets/Main/cat_train.txt").write_text("".join(f"{name} {int(name) % 3 - 1}\n" for name in names))
    return folder


@pytest.mark.parametrize("coords", ["auto", "voc", "edges"])
def test_in_one_go_or_not_says_the_same(many: Path, coords: str) -> None:
    _, source = opened(many, coords=coords)
    source.kept.clear()
    quick = said(source)
    assert len(quick[0]) > 400
    source._plain = False
    assert said(source) == quick


def test_evidence_is_the_same_in_one_go_or_not(many: Path) -> None:
    _, source = opened(many)
    seen = []
    for plain in (True, False):
        source._plain = plain
        evidence, _ = survey.look_through(source, Report(), 1)
        counts = (evidence.files, evidence.zero, evidence.fractions, evidence.kit)
        seen.append((counts, evidence.used(), list(evidence.parts)))
    assert seen[0] == seen[1]
    assert seen[0][0][0] == 600
    assert all(seen[0][0])


@pytest.mark.parametrize("name", ["kit", "tool"])
@pytest.mark.parametrize("parts", ["keep", "boxes"])
def test_kept_records_are_those_of_the_files(name: str, parts: str) -> None:
    labels, source = opened(FIXTURES / name, parts=parts, coords="voc")
    kept = said(source)
    masked = any(source.items.has(number) & 6 for number in range(len(source.items)))
    assert bool(source.kept) is not masked
    source.kept.clear()
    assert said(source) == kept
    assert labels.size == len(source.items)


def plain(folder: Path, count: int, *, zero_at: int = -1) -> Path:
    """So many files as the development kit has them, one of them with a coordinate of 0."""
    folder.mkdir()
    for number in range(count):
        side = 0 if number == zero_at else 1 + number
        box = f"<xmin>{side}</xmin><ymin>2</ymin><xmax>{number + 9}</xmax><ymax>12</ymax>"
        (folder / f"{number:04}.xml").write_text(
            "<annotation><folder>VOC2012</folder><filename>x.jpg</filename>"
            "<size><width>400</width><height>300</height></size>"
            f"<object><name>c{number % 7}</name><bndbox>{box}</bndbox></object></annotation>"
        )
    return folder


def test_every_stretch_is_kept_with_what_there_is_to_say(tmp_path: Path) -> None:
    _, source = opened(plain(tmp_path / "s", 2 * parallel.CHUNK + 9))
    assert [kept.count for kept in source.kept.values()] == [parallel.CHUNK, parallel.CHUNK, 9]
    kept = said(source)
    assert {finding["code"] for finding in kept[1]["findings"]} == {"value-normalised", "doubtful-box"}
    # From the middle of a stretch, and to it, the files are read.
    part = list(source(Report(), 100, 300))
    assert part == kept[0][100:300]
    source.kept.clear()
    assert said(source) == kept


def test_a_wrong_guess_is_made_good(tmp_path: Path) -> None:
    count = parallel.CHUNK + 20
    _, right = opened(plain(tmp_path / "right", count))
    assert (right.coords, len(right.kept)) == ("voc", 2)
    assert next(right(Report(), 5, 6)).annotations[0].shapes == (Box(5, 1, 9, 11),)
    _, wrong = opened(plain(tmp_path / "wrong", count, zero_at=count - 1))
    assert (wrong.coords, len(wrong.kept)) == ("edges", 0)
    assert next(wrong(Report(), 5, 6)).annotations[0].shapes == (Box(6, 2, 8, 10),)


def test_a_stretch_that_cannot_be_read_is_left_for_its_turn(tmp_path: Path) -> None:
    folder = plain(tmp_path / "s", 2 * parallel.CHUNK)
    (folder / "0003.xml").write_text("<annotation>")
    labels, source = opened(folder, Report())  # nothing is raised yet
    assert list(source.kept) == [parallel.CHUNK]
    report = Report("skip")
    assert len(list(labels.records(report))) == 2 * parallel.CHUNK - 1
    assert report.ledger.balance()["item"]["skipped"] == 1


def test_numbers_beyond_64_bits_are_read_from_the_file(tmp_path: Path) -> None:
    folder = plain(tmp_path / "s", 2)
    text = (folder / "0001.xml").read_text().replace("<xmax>10<", f"<xmax>{10**22}<")
    (folder / "0001.xml").write_text(text)
    labels, source = opened(folder)
    assert not source.kept
    assert list(labels)[1].annotations[0].shapes == (Box(1, 1, 10**22 - 1, 11),)


def test_no_more_is_kept_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = plain(tmp_path / "s", 3 * parallel.CHUNK)
    _, source = opened(folder)
    monkeypatch.setattr(survey, "MOST_KEPT", len(source.kept[0].encoded) + 1)
    labels, less = opened(folder)
    assert list(less.kept) == [0, parallel.CHUNK]
    assert msgspec.msgpack.encode(list(labels)) == msgspec.msgpack.encode(list(source(Report(), 0, None)))


WORKERS = """
import sys
from nucleus_convert.converters import parallel, pipeline

if __name__ == "__main__":
    method = sys.argv[3]
    forked = parallel.start_method()
    if method != "usual":
        parallel.start_method = lambda: method
    pipeline.convert(sys.argv[1], sys.argv[2], source="voc", workers=int(sys.argv[4]), on_error="quarantine")
    print(forked)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux only")
def test_forked_or_spawned_workers_write_the_same_bytes(tmp_path: Path, many: Path) -> None:
    (tmp_path / "run.py").write_text(WORKERS)
    written = []
    for method, workers in (("usual", "1"), ("fork", "2"), ("fork", "3"), ("spawn", "2")):
        target = tmp_path / f"{method}{workers}"
        command = [sys.executable, "-W", "error", tmp_path / "run.py", many, target, method, workers]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert sys.version_info >= (3, 14) or done.stdout.strip() == "fork"
        written.append({path.name: path.read_bytes() for path in target.rglob("*")})
    assert {"items.jsonl", "annotations.jsonl", "report.json", "rejected.jsonl"} <= written[0].keys()
    assert written[0] == written[1] == written[2] == written[3]

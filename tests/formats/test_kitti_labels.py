"""Label rows: columns told apart, names with spaces, what is refused and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.formats.kitti import labels
from nucleus_convert.formats.kitti.labels import Bad, Form, Row

CAR = "Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59"


def rows(text: str, kind: labels.Kind = "object") -> list[Row]:
    found = list(labels.parse(text, "f.txt", kind, labels.form_of(text)))
    assert not [one for one in found if isinstance(one, Bad)]
    return [one for one in found if isinstance(one, Row)]


def bad(text: str, kind: labels.Kind = "object") -> Bad:
    found = [one for one in labels.parse(text, "f.txt", kind) if isinstance(one, Bad)]
    assert len(found) == 1
    return found[0]


def test_15_and_16_columns() -> None:
    (row,) = rows(CAR)
    assert (row.name, row.values[:3], row.score) == ("Car", (0.0, 0, -1.58), None)
    assert row.values[3:7] == (587.01, 173.33, 614.12, 200.12)
    assert row.values[7:] == (1.65, 1.67, 3.64, -0.65, 1.71, 46.70, -1.59)
    assert row.has_3d
    (row,) = rows(f"{CAR} 0.75\n")
    assert (row.name, row.score, len(row.words)) == ("Car", 0.75, 15)


def test_17_and_18_columns() -> None:
    (row,) = rows(f"12 7 {CAR}", "tracking")
    assert (row.frame, row.track, row.name, row.score, row.lead, row.text) == (12, 7, "Car", None, "12 7 ", CAR)
    (row,) = rows(f"12 -1 {CAR} -3", "tracking")
    assert (row.frame, row.track, row.score) == (12, -1, -3)


@pytest.mark.parametrize("name", ["Person sitting", "a b c", "car 2", "Person (sitting)", "überall"])
def test_names_with_spaces(name: str) -> None:
    text = CAR.replace("Car", name)
    assert [row.name for row in rows(f"{text}\n{CAR}")] == [name, "Car"]
    assert [row.name for row in rows(f"{text} 1.5\n{CAR} 0.5")] == [name, "Car"]


def test_a_number_at_the_end_of_a_name_is_no_score_where_other_rows_have_none() -> None:
    first, second = rows(f"{CAR.replace('Car', 'car 2')}\n{CAR}")
    assert (first.name, first.score, second.score) == ("car 2", None, None)
    (alone,) = rows(CAR.replace("Car", "car 2"))
    assert (alone.name, alone.score) == ("car 2", None)


@pytest.mark.parametrize("kind", ["object", "tracking"])
def test_some_rows_have_a_score_and_others_none(kind: labels.Kind) -> None:
    head = "" if kind == "object" else "0 1 "
    first, second = rows(f"{head}{CAR} 0.9\n{head}{CAR}", kind)
    assert (first.name, first.score, second.name, second.score) == ("Car", 0.9, "Car", None)
    assert first.values[:3] == second.values[:3]



@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("-1 -1 -1 -1000 -1000 -1000 -10", False),  # the development kit's filler
        ("-1000 -1000 -1000 -10 -1 -1 -1", False),  # tracking's
        ("-1 -1 -1 -1 -1 -1 -1", False),  # Datumaro's
        ("0 0 0 0 0 0 0", False),  # FiftyOne's
        ("1.5 1.6 4.0 2.0 1.65 20.0 0", True),
        ("1.5 1.6 4.0 -2.0 -1 -1 0", True),
        ("1.5 0 4.0 2.0 1.65 20.0 0", False),
    ],
)
def test_which_rows_have_a_place(columns: str, expected: bool) -> None:
    assert rows(f"Car 0 0 -10 1 2 3 4 {columns}")[0].has_3d is expected
    assert not rows(f"DontCare 0 0 -10 1 2 3 4 {columns}")[0].has_3d


def test_numbers_are_whole_where_their_text_is() -> None:
    (row,) = rows("Car 0 0.0 -10 1 2.50 3e1 4 -1 -1 -1 -1000 -1000 -1000 -10")
    assert [repr(value) for value in row.values[:7]] == ["0", "0.0", "-10", "1", "2.5", "30.0", "4"]
    assert row.words[4] == "2.50"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("Car 0 0 0 1 2 3 4", "object", "8 columns, expected 15 columns (16 with a score)"),
        (CAR.rpartition(" ")[0], "object", "14 columns, expected 15 columns (16 with a score)"),
        (CAR.replace("614.12", "wide"), "object", "right should be a number, and is 'wide'"),
        (CAR.replace("46.70", "nan"), "object", "z is 'nan', no finite number"),
        (CAR.replace("1.65", "1e999"), "object", "a number too large to be read"),
        (f"x 7 {CAR}", "tracking", "expected a frame and a track as whole numbers, found 'x' and '7'"),
        (f"-3 7 {CAR}", "tracking", "expected a frame and a track as whole numbers, found '-3' and '7'"),
        (f"{CAR} 0.5 0.6", "object", "17 columns, expected 15 columns (16 with a score)"),
        (f"{CAR} 0.5 0.6 0.7", "object", "18 columns, expected 15 columns (16 with a score)"),
        (f"0 1 {CAR} 0.5 0.6", "tracking", "19 columns, expected 17 columns (18 with a score)"),
        (f"1000000 7 {CAR}", "tracking", "frame 1000000 is beyond 999,999"),
        (CAR, "tracking", "15 columns, expected 17 columns (18 with a score)"),
    ],
)
def test_what_is_no_row_is_said_with_its_line(text: str, kind: labels.Kind, message: str) -> None:
    good = CAR if kind == "object" else f"0 1 {CAR}"
    found = bad(f"{good}\n\n{text}\n", kind)
    assert found.error.message == message
    assert found.error.where is not None
    assert (found.error.where.file, found.error.where.line) == ("f.txt", 3)
    assert found.text == text


def test_rows_without_line_breaks() -> None:
    text = f"{CAR} 0.00{CAR.replace('Car', 'person')} 0.00{CAR} 0.00"
    form = labels.form_of(text)
    assert form == Form(glued=True, ended=False)
    found = rows(text)
    assert [row.name for row in found] == ["Car", "person", "Car"]
    assert form.joined([row.text for row in found]) == text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_a_file_is_joined_as_it_was_parted(end: str, last: bool) -> None:
    text = end.join([CAR, f"{CAR} ", f"  {CAR}"]) + (end if last else "")
    form = labels.form_of(text)
    assert form.joined([row.text for row in rows(text)]) == text


@given(st.text(max_size=200), st.sampled_from(["object", "tracking"]))
def test_any_text_is_rows_or_reasons(text: str, kind: labels.Kind) -> None:
    for one in labels.parse(text, "f", kind, labels.form_of(text)):
        assert isinstance(one, Row) or one.error.where is not None


def test_what_looks_like_a_row() -> None:
    assert labels.looks_like(CAR) == "object"
    assert labels.looks_like(f"0 1 {CAR}") == "tracking"
    assert labels.looks_like("0 0.5 0.5 0.1 0.1") is None
    assert labels.looks_like(" ".join(["0.5"] * 20)) is None


def test_a_bad_row_does_not_change_what_the_others_are() -> None:
    found = list(labels.parse(f"{CAR} 0.5\nCar 0 0 x\n{CAR} 0.25", "f", "object"))
    assert [one.score for one in found if isinstance(one, Row)] == [0.5, 0.25]

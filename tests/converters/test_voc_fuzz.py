"""Any XML tree is read with findings, or refused with file and line; never a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nucleus_convert as nc
from nucleus_convert.converters import voc
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.voc.dump import normal
from nucleus_convert.formats.voc import dump, element

STABLE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=250,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = st.sampled_from(
    [
        "",
        "0",
        "1",
        "-3",
        "2.5",
        "1e3",
        "1e999",
        "nan",
        "12,5",
        "0x1",
        "٣",
        "1_0",
        "cat",
        "Unspecified",
        "True",
        "9" * 50,
    ]
) | st.text(max_size=5)
SIDES = st.sampled_from(
    ["xmin", "ymin", "xmax", "ymax", "cx", "cy", "w", "h", "angle", "x1", "y1", "x2", "y2", "x3", "y3"]
)
_USED = (
    "name pose truncated difficult occluded bndbox robndbox polygon part point actions attributes attribute"
    " value confidence score id nucleus_convert deleted"
)
TAGS = st.sampled_from(_USED.split())
BOX = st.dictionaries(SIDES, TEXTS, max_size=6) | st.fixed_dictionaries(
    dict.fromkeys(["xmin", "ymin", "xmax", "ymax"], TEXTS)
)
VALUES = st.recursive(
    TEXTS | BOX,
    lambda inner: st.dictionaries(TAGS | SIDES, inner | st.lists(inner, max_size=2), max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TAGS, VALUES, max_size=6) | st.fixed_dictionaries({"name": TEXTS, "bndbox": BOX})
HEADS = st.dictionaries(
    st.sampled_from(
        ["filename", "size", "width", "folder", "source", "path", "segmented", "nucleus_convert", "@a"]
    ),
    TEXTS
    | st.dictionaries(
        st.sampled_from(["width", "height", "depth", "database"]), TEXTS | st.lists(TEXTS), max_size=3
    ),
    max_size=4,
)


@STABLE
@given(
    HEADS,
    st.lists(OBJECTS, max_size=3),
    st.sampled_from(["auto", "voc", "edges"]),
    st.sampled_from(["keep", "boxes"]),
)
def test_any_tree(tmp_path: Path, head: dict[str, Any], objects: list[Any], coords: str, parts: str) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(
        dump(normal(head) or {}, ["".join(element("object", normal(one), "\t")) for one in objects])
    )
    options = voc.ReadOptions(coords=coords, parts=parts)  # type: ignore[arg-type]
    report = Report("quarantine")
    labels = voc.read(path, options=options, report=report)
    records = list(labels.records(report))
    for rejected in report.rejected:
        assert rejected.where.file == "a.xml"
        assert rejected.where.line is not None or "<nucleus_convert>" in rejected.reason
    try:
        again = list(voc.read(path, options=options, report=Report()))
    except ConvertError as error:
        place = str(error.where)
        assert (bool(report.rejected), place[:5]) == (True, "a.xml")
    else:
        assert again == records
    if len(records) == 1:
        nc.write(labels, tmp_path / "v", "voc", report=Report("skip"), overwrite=True, verify="all")


@STABLE
@given(st.binary(max_size=80) | st.text(alphabet='ab1 -\n"#:,.', max_size=60).map(str.encode))
def test_any_lists_results_and_label_maps(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "Annotations").mkdir(exist_ok=True)
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation/>")
    for name in (
        "ImageSets/Main/train.txt",
        "ImageSets/Main/b_train.txt",
        "results/comp4_det_val_b.txt",
        "labelmap.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        report = Report("quarantine")
        try:
            list(voc.read(tmp_path, options=voc.ReadOptions(), report=report).records(report))
        except ConvertError as error:
            assert error.where is not None  # noqa: PT017
        report.ledger.balance()
        path.unlink()

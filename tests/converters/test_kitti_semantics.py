"""KITTI's semantic and instance pictures to masks and back; pixels are worked out by hand and by numpy alone."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from nucleus_convert.converters import masks, png
from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError
from nucleus_convert.converters.kitti import semantics
from nucleus_convert.converters.kitti.semantics import Layer, Regions
from nucleus_convert.converters.model import Annotation, Box, Label, Mask
from nucleus_convert.formats.kitti import colors

CAR, ROAD = 26, 7
# 6659 = 26 * 256 + 3 is car number 3; 6656 are cars nobody told apart.
VALUES = np.array([[0, 6659, 6659], [1792, 6657, 6656]], np.uint16)
CLASSES = np.array([[23, 26, 26], [7, 26, 26]], np.uint8)


def bitmap(mask: Mask) -> list[list[int]]:
    found: list[list[int]] = coco_mask.decode({"size": [mask.height, mask.width], "counts": mask.counts}).tolist()
    return found


def shown(found: Regions) -> dict[tuple[int, int], list[list[int]]]:
    return {(region.klass, region.instance): bitmap(region.mask) for region in found.found}


def test_instances() -> None:
    assert shown(semantics.regions(None, VALUES)) == {
        (7, 0): [[0, 0, 0], [1, 0, 0]],
        (26, 0): [[0, 0, 0], [0, 0, 1]],
        (26, 1): [[0, 0, 0], [0, 1, 0]],
        (26, 3): [[0, 1, 1], [0, 0, 0]],
    }


def test_classes_alone() -> None:
    assert shown(semantics.regions(CLASSES, None)) == {
        (7, 0): [[0, 0, 0], [1, 0, 0]],
        (23, 0): [[1, 0, 0], [0, 0, 0]],
        (26, 0): [[0, 1, 1], [0, 1, 1]],
    }


def test_both() -> None:
    """The instance picture goes before, the semantic picture fills what it leaves open."""
    found = semantics.regions(CLASSES, np.where(VALUES == 1792, 0, VALUES).astype(np.uint16))
    assert shown(found) == shown(semantics.regions(None, VALUES)) | {(23, 0): [[1, 0, 0], [0, 0, 0]]}
    assert found.disagreeing == 0
    other = CLASSES.copy()
    other[0, 1] = 27
    assert semantics.regions(other, VALUES).disagreeing == 1
    assert semantics.regions(None, None) == Regions([], 0)


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_files(tmp_path: Path) -> None:
    semantic, instance = save(tmp_path / "s.png", CLASSES), save(tmp_path / "i.png", VALUES)
    assert semantics.read(semantic, instance) == semantics.regions(CLASSES, VALUES)
    assert semantics.read(None, instance) == semantics.regions(None, VALUES)


def test_files_that_are_none(tmp_path: Path) -> None:
    semantic, instance = save(tmp_path / "s.png", CLASSES), save(tmp_path / "i.png", VALUES)
    with pytest.raises(SchemaError, match=r"i\.png: the picture holds the value 6659, which is no class"):
        semantics.read(instance, None, folder=tmp_path)
    with pytest.raises(SchemaError, match=r"s\.png: the instance picture has 8 bits"):
        semantics.read(None, semantic, folder=tmp_path)
    small = save(tmp_path / "small.png", VALUES[:1])
    with pytest.raises(SchemaError, match=r"small\.png: the instance picture is 3 x 1, the semantic picture 3 x 2"):
        semantics.read(semantic, small, folder=tmp_path)
    (tmp_path / "text.png").write_bytes(b"text")
    with pytest.raises(MalformedFileError, match=r"text\.png: not a PNG file"):
        semantics.read(tmp_path / "text.png", None, folder=tmp_path)
    with pytest.raises(ReadError, match=r"none\.png: the picture cannot be read"):
        semantics.read(None, tmp_path / "none.png", folder=tmp_path)


def test_annotations() -> None:
    found = semantics.annotated(semantics.regions(None, VALUES).found, semantics.NAMES)
    assert [(one.label, one.extras["kitti"]["instance"]) for one in found] == [
        ("road", 0), ("car", 0), ("car", 1), ("car", 3)
    ]  # fmt: skip
    (lone,) = semantics.annotated(semantics.regions(np.array([[200]]), None).found, semantics.NAMES)
    assert lone.label == "200"


@st.composite
def instance_maps(draw: st.DrawFn) -> np.ndarray:
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    value = st.one_of(st.just(0), st.builds(lambda k, i: k << 8 | i, st.integers(1, 255), st.integers(0, 255)))
    few = draw(st.lists(value, min_size=1, max_size=5))
    return np.array([[draw(st.sampled_from(few)) for _ in range(shape[1])] for _ in range(shape[0])], np.uint16)


@given(instance_maps())
def test_pictures_come_back_to_the_pixel(values: np.ndarray) -> None:
    names = {number: f"class {number}" for number in range(256)}
    found = semantics.annotated(semantics.regions(None, values).found, names)
    layers, beyond = semantics.numbered(found, {name: number for number, name in names.items()})
    made = semantics.pictures(layers, *values.shape)
    assert beyond == []
    assert made.lost == (0,) * len(layers)
    np.testing.assert_array_equal(made.instance, values)
    np.testing.assert_array_equal(made.semantic, values >> 8)
    with Image.open(io.BytesIO(png.encode_deep(made.instance))) as image:
        np.testing.assert_array_equal(np.asarray(image), values)


def mask_of(pixels: list[list[int]]) -> Mask:
    array = np.array(pixels)
    return Mask(masks.encode_counts(masks.from_array(array)), *array.shape)


def test_numbers_for_masks_from_elsewhere() -> None:
    mask = mask_of([[1, 0], [0, 1]])
    found = [
        Annotation(label="car", shapes=(mask,)),
        Annotation(label="car", shapes=(mask,), extras={"kitti": {"instance": 1}}),
        Annotation(label="car", shapes=(mask,), crowd=True),
        Annotation(label="car", shapes=(Box(0, 0, 1, 1),)),
        Annotation(label="car", shapes=(Box(0, 0, 1, 1), mask)),
        Annotation(label="unknown", shapes=(mask,)),
        Annotation(shapes=(mask,)),
    ]
    layers, beyond = semantics.numbered(found, {"car": 26})
    assert [(layer.place, layer.klass, layer.instance) for layer in layers] == [
        (0, 26, 2), (1, 26, 1), (2, 26, 0), (4, 26, 3)
    ]  # fmt: skip
    assert beyond == [5, 6]


def test_more_instances_than_a_picture_holds() -> None:
    found = [Annotation(label="car", shapes=(mask_of([[1]]),))] * 257
    layers, beyond = semantics.numbered(found, {"car": 26})
    assert [layer.instance for layer in layers] == list(range(1, 256))
    assert beyond == [255, 256]


def test_what_is_covered_is_counted() -> None:
    below, above = mask_of([[1, 1, 0], [1, 1, 0]]), mask_of([[0, 1, 1], [0, 0, 0]])
    made = semantics.pictures([Layer(0, 26, 1, below), Layer(1, 7, 0, above)], 2, 3)
    assert made.instance.tolist() == [[6657, 1792, 1792], [6657, 6657, 0]]
    assert made.semantic.tolist() == [[26, 7, 7], [26, 26, 0]]
    assert made.lost == (1, 0)


def test_masks_of_another_size() -> None:
    with pytest.raises(SchemaError, match="a mask is 1 x 1, its picture 3 x 2"):
        semantics.pictures([Layer(0, 26, 1, mask_of([[1]]))], 2, 3)


def test_numbers_of_classes() -> None:
    names = ["car", "dog", "road", "cat", "Auto", "far"]
    ids = [None, None, 7, 26, 300, 40]
    found = semantics.classes_of([Label(name=name, id=number) for name, number in zip(names, ids, strict=True)])
    assert found == {"car": 26, "road": 7, "far": 40, "dog": 34, "cat": 35, "Auto": 36}
    many = semantics.classes_of([Label(name=str(number)) for number in range(300)])
    assert len(set(many.values())) == len(many) == 255


def test_label_colors() -> None:
    text = "0 0 0 background\n128 64 128 road\n0 0 142 my car\n"
    found = colors.parse("# r g b name\n\n" + text)
    assert found == [("background", (0, 0, 0)), ("road", (128, 64, 128)), ("my car", (0, 0, 142))]


@pytest.mark.parametrize("line", ["1 2 road", "1 2 256 road", "-1 2 3 road", "a b c road", "1 2 3 background"])
def test_label_colors_that_are_none(line: str) -> None:
    with pytest.raises(SchemaError, match=r"label_colors\.txt:2: "):
        colors.parse(f"0 0 0 background\n{line}\n", "label_colors.txt")

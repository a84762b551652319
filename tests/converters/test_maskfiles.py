"""RLE to PNG and back, by the library and the command line, held against pycocotools, numpy and Pillow."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from nucleus_convert import Code, ConvertError, Report, convert, png_to_rle, read, rle_to_png
from nucleus_convert.cli import run
from nucleus_convert.converters import filenames, registry
from nucleus_convert.converters.compose import PIXELS_COVERED

ROOT = Path(__file__).resolve().parents[2]
PARK = ROOT / "examples" / "park"
SAMPLES = Path("/work/shared/samples")


def rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


@pytest.mark.parametrize("kept", [1, 5_000])
def test_a_long_line_of_a_data_set_is_no_mask(tmp_path: Path, kept: int) -> None:
    """One line over a megabyte, as json.dump writes it, with a mask near its beginning."""
    mask = rle(np.ones((3, 4), bool))
    images = [{"id": n, "file_name": f"[{n}].jpg", "height": 3, "width": 4} for n in range(kept)]
    rows = [{"id": n, "image_id": 0, "category_id": 1, "iscrowd": 1, "segmentation": mask} for n in range(12_000)]
    data = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "a"}]}
    path = tmp_path / "big.json"
    path.write_text(json.dumps(data))
    assert path.stat().st_size > 1 << 20
    assert registry.detect(path) == "coco"


@pytest.mark.parametrize("row", [{}, {"image": "a[", "label": '"['}])
@pytest.mark.parametrize("inner", [False, True])
def test_a_mask_of_more_than_a_megabyte_is_a_mask(tmp_path: Path, row: dict[str, Any], inner: bool) -> None:
    mask = {"size": [600, 600], "counts": [1] * (600 * 600)}
    line = {**row, "segmentation": mask} if inner else {**row, **mask}
    assert registry.detect(write_lines(tmp_path / "masks.jsonl", [line])) == "rle"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode in ("L", "P"), image.mode
        return np.asarray(image)


def decoded(row: dict[str, Any]) -> np.ndarray:
    return coco_mask.decode({"size": row["size"], "counts": row["counts"]})


def discs(count: int, seed: int = 7, height: int = 48, width: int = 64) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    rows, columns = np.indices((height, width))
    found = []
    for _ in range(count):
        y, x, r = random.uniform((0, 0, 3), (height, width, 15))
        found.append((rows - y) ** 2 + (columns - x) ** 2 < r * r)
    return found


def coco(path: Path, images: list[list[np.ndarray]], **more: Any) -> Path:
    ids = itertools.count(1)
    data = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "height": masks[0].shape[0], "width": masks[0].shape[1]}
            for i, masks in enumerate(images)
        ],
        "annotations": [
            {
                "id": next(ids),
                "image_id": i,
                "category_id": 1 + k % 3,
                "segmentation": rle(mask),
                "area": int(mask.sum()),
                "bbox": [
                    float(v) for v in coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask, np.uint8)))
                ],
                "iscrowd": 0,
                **more,
            }
            for i, masks in enumerate(images)
            for k, mask in enumerate(masks)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(("cat", "dog", "car"), 1)],
    }
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


# --- one picture a mask --------------------------------------------------------------------------------


def test_ten_thousand_masks_survive_png(tmp_path: Path, ten_thousand_masks: list[np.ndarray]) -> None:
    source = write_lines(
        tmp_path / "in.jsonl",
        [{"image": f"{i}.jpg", **rle(mask)} for i, mask in enumerate(ten_thousand_masks)],
    )
    rle_to_png(source, tmp_path / "png", verify="none")
    entries = lines(tmp_path / "png" / "manifest.jsonl")
    assert len(entries) == len(ten_thousand_masks)
    for entry, mask in zip(entries[::37], ten_thousand_masks[::37], strict=True):
        assert np.array_equal(pixels(tmp_path / "png" / entry["file"]), mask * 255)
    png_to_rle(tmp_path / "png", tmp_path / "out.jsonl", verify="none")
    pairs = zip(lines(source), lines(tmp_path / "out.jsonl"), strict=True)
    assert all(a["counts"] == b["counts"] and a["size"] == b["size"] for a, b in pairs)


def all_rles(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("size"), list) and isinstance(value.get("counts"), str | list):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict | list):
                yield from all_rles(entry)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no sample files in {SAMPLES}")
def test_every_mask_of_the_samples_survives_png(tmp_path: Path) -> None:
    found = []
    for path in sorted((SAMPLES / "coco").rglob("*.json")):
        try:
            found += list(all_rles(json.loads(path.read_text(encoding="utf-8"))))
        except ValueError:
            continue
    expected = []
    for row in found:
        height, width = row["size"]
        counts = row["counts"]
        if isinstance(counts, list):
            if sum(counts) != height * width:
                continue
            counts = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)[
                "counts"
            ].decode()
        expected.append({"size": [height, width], "counts": counts})
    assert len(expected) > 100
    source = write_lines(tmp_path / "in.jsonl", expected)
    rle_to_png(source, tmp_path / "png", verify="none")
    png_to_rle(tmp_path / "png", tmp_path / "out.jsonl", verify="none")
    back = lines(tmp_path / "out.jsonl")
    assert len(back) == len(expected)
    for meant, got in zip(expected, back, strict=True):
        if meant["counts"] != got["counts"]:  # a run of nothing in it: not as pycocotools writes it
            assert np.array_equal(decoded(meant), decoded(got))


def test_park_comes_back_with_everything(tmp_path: Path) -> None:
    source = PARK / "annotations" / "instances.json"
    report = rle_to_png(source, tmp_path / "png")
    assert report.count(Code.REPLACED) == 26  # polygons are drawn
    assert report.count(Code.DROPPED) == 0  # and that is said once
    entries = {entry["id"]: entry for entry in lines(tmp_path / "png" / "manifest.jsonl")}
    given = json.loads(source.read_text(encoding="utf-8"))
    for row in given["annotations"]:
        segmentation = row.get("segmentation")
        if not segmentation:
            assert "file" not in entries[row["id"]]
            continue
        image = next(image for image in given["images"] if image["id"] == row["image_id"])
        size = image["height"], image["width"]
        if isinstance(segmentation, list) or isinstance(segmentation["counts"], list):
            segmentation = coco_mask.frPyObjects(segmentation, *size)
        meant = coco_mask.decode(
            coco_mask.merge(segmentation) if isinstance(segmentation, list) else segmentation
        )
        shown = pixels(tmp_path / "png" / entries[row["id"]]["file"])
        assert shown.shape == size
        assert np.array_equal(shown, meant * 255)
    png_to_rle(tmp_path / "png", tmp_path / "back.json")
    back = json.loads((tmp_path / "back.json").read_text(encoding="utf-8"))
    assert back["images"] == given["images"]
    assert back["categories"] == given["categories"]
    same = [{k: v for k, v in row.items() if k != "segmentation"} for row in given["annotations"]]
    for row, meant_row in zip(back["annotations"], same, strict=True):
        assert {k: row[k] for k in meant_row} == meant_row


def test_ones_and_names(tmp_path: Path) -> None:
    mask = discs(1)[0]
    rows = [
        {"image": "../../etc/passwd.jpg", "name": "a/../b", "label": "cat", **rle(mask)},
        {"image": "A.jpg", "id": 1, **rle(mask)},
        {"image": "a.jpg", "id": 1, **rle(mask)},
        {"image": "http://x.org/y/con.png", "id": "COM1", **rle(mask)},
    ]
    rle_to_png(write_lines(tmp_path / "in.jsonl", rows), tmp_path / "out" / "png", ones=True)
    entries = lines(tmp_path / "out" / "png" / "manifest.jsonl")
    assert [entry["image"] for entry in entries] == [row["image"] for row in rows]
    files = [entry["file"] for entry in entries]
    assert len({file.casefold() for file in files}) == 4
    root = (tmp_path / "out" / "png").resolve()
    for file in files:
        assert (root / file).resolve().is_relative_to(root / "masks")
        assert np.array_equal(pixels(root / file), mask)
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out"}


@pytest.mark.parametrize(
    "name", ["..", "../..", "/", "", "a/../../b", "C:\\x", "\\\\host\\share", "con", "a" * 300, "é", "x."]
)
def test_safe_paths(name: str) -> None:
    made = filenames.safe_path(name)
    assert made
    assert not made.startswith("/")
    assert not {"..", ".", ""} & set(made.split("/"))
    assert all(character not in made for character in '\\:*?"<>|\0')
    assert made != filenames.safe_path(name + "_")


# --- one picture an image ------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", ["later", "smaller"])
def test_instances_and_what_they_cover(tmp_path: Path, overlap: str) -> None:
    images = [discs(9, seed) for seed in range(4)]
    report = rle_to_png(
        coco(tmp_path / "in.json", images), tmp_path / "png", layout="instance", overlap=overlap
    )
    lost = 0
    for number, masks in enumerate(images):
        shown = pixels(tmp_path / "png" / "masks" / f"{number}.png")
        meant = np.zeros(shown.shape, np.uint8)
        order = range(9)
        if overlap == "smaller":
            order = sorted(order, key=lambda k: -masks[k].sum())
        for k in order:
            meant[masks[k]] = k + 1
        assert np.array_equal(shown, meant)
        lost += sum(int((masks[k] & (meant != k + 1)).sum()) for k in range(9))
    assert lost > 0
    assert report.count(Code.MASK_OVERLAP, PIXELS_COVERED) == lost
    # What is covered is in the manifest: everything comes back.
    png_to_rle(tmp_path / "png", tmp_path / "back.json")
    given, back = (
        json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("in.json", "back.json")
    )
    assert back["annotations"] == given["annotations"]


def test_overlap_fail(tmp_path: Path) -> None:
    source = coco(tmp_path / "in.json", [discs(9)])
    with pytest.raises(ConvertError, match="overlap by") as caught:
        rle_to_png(source, tmp_path / "png", layout="instance", overlap="fail")
    assert caught.value.exit_code == 42
    assert not (tmp_path / "png").exists()


def test_semantic(tmp_path: Path) -> None:
    images = [discs(9, seed) for seed in range(3)]
    rle_to_png(coco(tmp_path / "in.json", images), tmp_path / "png", layout="semantic", palette=True)
    assert json.loads((tmp_path / "png" / "classes.json").read_text())["2"] == "dog"
    for number, masks in enumerate(images):
        meant = np.zeros(masks[0].shape, np.uint8)
        for k, mask in enumerate(masks):
            meant[mask] = 1 + k % 3
        path = tmp_path / "png" / "masks" / f"{number}.png"
        assert np.array_equal(pixels(path), meant)
        with Image.open(path) as image:
            assert image.mode == "P"
            assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
    png_to_rle(tmp_path / "png", tmp_path / "back.json")
    given, back = (
        json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("in.json", "back.json")
    )
    assert back["annotations"] == given["annotations"]


def columns(count: int) -> list[np.ndarray]:
    found = []
    for k in range(count):
        mask = np.zeros((4, 300), bool)
        mask[: 1 + k % 3, k] = True
        found.append(mask)
    return found


def test_more_than_255(tmp_path: Path) -> None:
    masks = columns(290)
    source = coco(tmp_path / "in.json", [masks])
    with pytest.raises(ConvertError, match="290 masks"):
        rle_to_png(source, tmp_path / "a", layout="instance")
    report = rle_to_png(source, tmp_path / "b", layout="instance", overflow="largest")
    shown = pixels(tmp_path / "b" / "masks" / "0.png")
    kept = sorted(range(290), key=lambda k: -masks[k].sum())[:255]
    assert np.array_equal(shown > 0, np.any([masks[k] for k in kept], axis=0))
    undrawn = sum(int(masks[k].sum()) for k in set(range(290)) - set(kept))
    assert report.count(Code.MASK_OVERFLOW, "pixels of masks that are not drawn, in all") == undrawn
    rle_to_png(source, tmp_path / "c", layout="instance", overflow="semantic")
    assert set(np.unique(pixels(tmp_path / "c" / "masks" / "0.png"))) == {0, 1, 2, 3}
    for name in ("b", "c"):
        png_to_rle(tmp_path / name, tmp_path / f"{name}.json")
        back = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        assert back["annotations"] == json.loads(source.read_text(encoding="utf-8"))["annotations"]


def test_an_edited_picture_counts(tmp_path: Path) -> None:
    rle_to_png(coco(tmp_path / "in.json", [discs(6)]), tmp_path / "png", layout="instance")
    path = tmp_path / "png" / "masks" / "0.png"
    shown = pixels(path).copy()
    shown[10, 10:20] = 2
    Image.fromarray(shown).save(path)
    report = png_to_rle(tmp_path / "png", tmp_path / "back.jsonl")
    assert report.count(Code.VALUE_NORMALISED) > 0
    back = lines(tmp_path / "back.jsonl")
    assert np.array_equal(decoded(back[1]), shown == 2)


def test_workers_and_progress(tmp_path: Path) -> None:
    source = coco(tmp_path / "in.json", [discs(3, seed, 16, 16) for seed in range(600)])
    seen: list[Any] = []
    rle_to_png(source, tmp_path / "1", layout="instance", progress=lambda *what: seen.append(what))
    rle_to_png(source, tmp_path / "2", layout="instance", workers=2)
    assert {stage for stage, _, _ in seen} == {"reading", "writing", "checking"}
    assert ("writing", 600, 600) in seen
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in "12"
    )
    assert one == two
    assert len(one) == 604


# --- PNGs of others ------------------------------------------------------------------------------------


def palette_png(path: Path, values: np.ndarray) -> None:
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette([255 - i // 3 for i in range(768)])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "background\ncat\ndog\n"),
        ("classes.txt", "cat\ndog\n"),
        ("classes.txt", "__ignore__\n_background_\ncat\ndog"),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n",
        ),
        ("classes.json", '{"1": "cat", "2": "dog"}'),
        ("classes.json", '{"cat": 1, "dog": 2}'),
        ("classes.json", '{"categories": [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}]}'),
        ("classes.yaml", "names:\n  0: background\n  1: cat\n  2: dog\n"),
        ("classes.yaml", "[cat, dog]"),
    ],
)
def test_palette_pngs_with_class_names(tmp_path: Path, name: str, text: str) -> None:
    values = np.zeros((5, 7), np.uint8)
    values[1:3, 1:4], values[3:, 4:], values[0, 0] = 1, 2, 255
    palette_png(tmp_path / "masks" / "x" / "1.png", values)
    (tmp_path / "images" / "x").mkdir(parents=True)
    (tmp_path / "images" / "x" / "1.jpg").write_bytes(b"")
    (tmp_path / name).write_text(text)
    report = png_to_rle(
        tmp_path / "masks",
        tmp_path / "out.json",
        classes=tmp_path / name,
        ignore=(255,),
        images=tmp_path / "images",
    )
    out = json.loads((tmp_path / "out.json").read_text())
    assert [image["file_name"] for image in out["images"]] == ["x/1.jpg"]
    names = {row["id"]: row["name"] for row in out["categories"]}
    found = {names[row["category_id"]]: row for row in out["annotations"]}
    assert set(found) == {"cat", "dog"}
    for label, index in (("cat", 1), ("dog", 2)):
        row = found[label]
        assert np.array_equal(decoded(row["segmentation"]), values == index)
        assert row["area"] == int((values == index).sum())
        assert row["bbox"] == coco_mask.toBbox(row["segmentation"]).tolist()
    assert report.count(Code.FILTERED, "pixels of index 255") == 1


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint8, 1), (np.bool_, 1), (np.uint16, 1)])
def test_binary_pngs(tmp_path: Path, dtype: Any, top: int) -> None:
    masks = discs(3)
    (tmp_path / "in").mkdir()
    for i, mask in enumerate(masks):
        Image.fromarray((mask * top).astype(dtype)).save(tmp_path / "in" / f"{i}.png")
    png_to_rle(tmp_path / "in", tmp_path / "out.jsonl", label="blob")
    back = lines(tmp_path / "out.jsonl")
    assert [row["label"] for row in back] == ["blob"] * 3
    assert [row["image"] for row in back] == ["0.png", "1.png", "2.png"]
    assert [row["counts"] for row in back] == [rle(mask)["counts"] for mask in masks]


def test_sixteen_bits_of_instances(tmp_path: Path) -> None:
    values = np.zeros((20, 20), np.uint16)
    values[:5], values[5:9] = 1000, 65535
    (tmp_path / "in").mkdir()
    Image.fromarray(values).save(tmp_path / "in" / "a.png")
    png_to_rle(tmp_path / "in", tmp_path / "out.jsonl", pixels="instance", label="thing")
    assert [np.unique(values[decoded(row) > 0]).tolist() for row in lines(tmp_path / "out.jsonl")] == [
        [1000],
        [65535],
    ]


def test_no_classes_gives_numbers(tmp_path: Path) -> None:
    palette_png(tmp_path / "in" / "a.png", np.array([[0, 3], [7, 7]]))
    report = png_to_rle(tmp_path / "in", tmp_path / "out.json")
    out = json.loads((tmp_path / "out.json").read_text())
    assert [(row["id"], row["name"]) for row in out["categories"]] == [(3, "3"), (7, "7")]
    assert report.count(Code.LABEL_UNDECLARED) == 2


# --- hostile -------------------------------------------------------------------------------------------


def command(capsys: pytest.CaptureFixture[str], *args: Any) -> tuple[int, str]:
    code = run([str(arg) for arg in args])
    return code, capsys.readouterr().err


HOSTILE = [
    ({"size": [10**9, 10**9], "counts": [10**18]}, 32),
    ({"size": [4, 4], "counts": [17]}, 32),
    ({"size": [4, 4], "counts": [-1, 17]}, 32),
    ({"size": [4, 4], "counts": "~~~"}, 32),
    ({"size": [4, 4], "counts": "PPPPPPPPPPP"}, 32),
    ({"size": [0, 4], "counts": []}, 32),
    ({"size": [4], "counts": [16]}, 32),
    ({"size": [True, 4], "counts": [4]}, 32),
    ({"size": ["4", 4], "counts": [16]}, 32),
    ({"size": [4, 4], "counts": None}, 32),
    ({"size": [4, 4], "counts": [[16]]}, 32),
    ({"counts": [16]}, 32),
    ([], 32),
    ({"size": [4, 4], "counts": [16], "score": "high"}, 32),
    ({"size": [4, 4], "counts": [16], "_nucleus_convert": 3}, 32),
    ({"size": [4, 4], "counts": [16], "_nucleus_convert": {"v": 1, "annotation": {"shapes": 3}}}, 32),
]


@pytest.mark.parametrize(("row", "code"), HOSTILE, ids=[str(row)[:40] for row, _ in HOSTILE])
def test_hostile_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], row: Any, code: int) -> None:
    good = {"image": "g.jpg", "size": [2, 2], "counts": [1, 2, 1]}
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(good) + "\n" + json.dumps(row) + "\n")
    found, text = command(capsys, "rle2png", source, "-o", tmp_path / "out")
    assert (found, text.count("error:")) == (code, 1)
    assert "Traceback" not in text
    assert ":2" in text
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl"}
    found, text = command(capsys, "rle2png", source, "-o", tmp_path / "out", "--on-error", "quarantine")
    assert found == 0, text
    assert len(lines(tmp_path / "out" / "manifest.jsonl")) == 1
    assert len(lines(tmp_path / "out" / "rejected.jsonl")) == 1


def bomb(size: int) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (bomb(100_000), "more than"),
        (bomb(2**31 - 1), "more than"),
        (bomb(500), "missing"),
        (b"", "not a PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "cut short"),
    ],
)
def test_hostile_pngs(tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, said: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.png").write_bytes(data)
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "in" / "good.png")
    code, text = command(capsys, "png2rle", tmp_path / "in", "-o", tmp_path / "out.json")
    assert code in (31, 32)
    assert said in text
    assert "bad.png" in text
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    code, text = command(
        capsys, "png2rle", tmp_path / "in", "-o", tmp_path / "out.json", "--on-error", "skip"
    )
    assert code == 0, text
    assert len(json.loads((tmp_path / "out.json").read_text())["images"]) == 1


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/x.png", "C:\\x.png", "masks/../../secret.png", "a\0.png", ""]
)
def test_a_manifest_cannot_lead_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "secret.png")
    (tmp_path / "in").mkdir()
    write_lines(tmp_path / "in" / "manifest.jsonl", [{"file": name, "image": "a.jpg", "label": "x"}])
    code, text = command(capsys, "png2rle", tmp_path / "in", "-o", tmp_path / "out.json")
    assert code == 32, text
    assert "leads out" in text


def test_a_link_out_of_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "secret.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "secret.png")
    write_lines(tmp_path / "in" / "manifest.jsonl", [{"file": "a.png", "image": "a.jpg", "label": "x"}])
    assert command(capsys, "png2rle", tmp_path / "in", "-o", tmp_path / "out.json")[0] == 32


def test_a_manifest_made_by_hand(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    values = np.array([[0, 1], [2, 2]], np.uint8)
    Image.fromarray(values).save(tmp_path / "in" / "a.png")
    rows = [{"file": "a.png", "image": "a.jpg", "label": "cat", "index": i, "id": i} for i in (1, 2, 9)]
    write_lines(tmp_path / "in" / "manifest.jsonl", rows)
    png_to_rle(tmp_path / "in", tmp_path / "out.jsonl")
    back = lines(tmp_path / "out.jsonl")
    assert [decoded(row).tolist() for row in back] == [[[0, 1], [0, 0]], [[0, 0], [1, 1]], [[0, 0], [0, 0]]]


@pytest.mark.parametrize(
    ("file", "find", "put", "said"),
    [
        ("manifest.jsonl", '"item":', '"item":NaN,"x":', "3 $.item: NaN is not JSON"),
        ("manifest.jsonl", '"label":"', '"label":"\xff', "3 $.label: not valid JSON: the text is not UTF-8"),
        ("manifest.jsonl", '"label":', '"label":5,"x":', "3: expected a line with file, image, id, label and index"),
        ("manifest.jsonl", '"item":', '"item":9', "is no line of images.jsonl"),
        ("manifest.jsonl", '"label":', '"lable":', "3: not a line of a manifest"),
        ("images.jsonl", '"id":', '"id":NaN,"x":', "3 $.id: NaN is not JSON"),
        ("images.jsonl", '"id":', '"id":[],"x":', "3: not as nucleus-convert writes it"),
        ("images.jsonl", '"id":', '"id":1e400,"x":', "3: a value that cannot be read: number out of range"),
    ],
)
def test_a_damaged_line_is_one_bad_record(tmp_path: Path, file: str, find: str, put: str, said: str) -> None:
    convert(PARK / "annotations" / "instances.json", tmp_path / "png", target="maskpng")
    whole = {record.item.id: len(record.annotations) for record in read(tmp_path / "png", "maskpng")}
    path = tmp_path / "png" / file
    text = path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert find in text[2]
    text[2] = text[2].replace(find, put, 1)
    path.write_bytes("".join(text).encode("latin-1"))
    with pytest.raises(ConvertError) as caught:
        list(read(tmp_path / "png", "maskpng"))
    assert f"{file}:3" in str(caught.value)
    assert said in str(caught.value)
    report = Report("quarantine")
    found = {r.item.id: len(r.annotations) for r in read(tmp_path / "png", "maskpng", report=report).records(report)}
    items = file == "images.jsonl"
    rejected = [one for one in report.rejected if str(one.where.file).endswith(file)]
    assert len(rejected) == 1
    balance = report.ledger.balance()
    assert balance["item"]["skipped"] == items
    if items:
        [lost] = whole.keys() - found.keys()
        assert whole == {**found, lost: balance["object"]["skipped"]}
        assert len(report.rejected) == 1 + whole[lost]
    else:
        assert (len(found), sum(found.values())) == (len(whole), sum(whole.values()) - 1)


def test_an_existing_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_lines(tmp_path / "in.jsonl", [{"image": "a.jpg", **rle(discs(1)[0])}])
    assert command(capsys, "rle2png", source, "-o", tmp_path / "out")[0] == 0
    assert command(capsys, "rle2png", source, "-o", tmp_path / "out")[0] == 41
    assert command(capsys, "rle2png", source, "-o", tmp_path / "out", "--overwrite")[0] == 0
    assert command(capsys, "rle2png", source, "-o", tmp_path / "dry", "--dry-run")[0] == 0
    assert not (tmp_path / "dry").exists()
    (tmp_path / "empty").mkdir()
    assert command(capsys, "png2rle", tmp_path / "empty", "-o", tmp_path / "x.json")[0] == 30


@pytest.mark.parametrize("name", ["rle2png", "png2rle"])
def test_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--workers" in text
    assert ("--layout" in text) == (name == "rle2png")
    assert ("--classes" in text) == (name == "png2rle")


def test_the_documented_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "masks.md").read_text(encoding="utf-8")
    commands = [line.split()[1:] for line in text.splitlines() if line.startswith("convert ")]
    assert len(commands) == 8
    for command_ in commands:
        assert run(command_) == 0, command_
    given = json.loads((PARK / "annotations" / "instances.json").read_text(encoding="utf-8"))
    assert [row["id"] for row in json.loads(Path("back.json").read_text())["annotations"]] == [
        row["id"] for row in given["annotations"]
    ]
    again = json.loads(Path("again.json").read_text())
    assert {row["name"] for row in again["categories"]} >= {"person", "car"}
    assert {row["file_name"] for row in again["images"]} < {row["file_name"] for row in given["images"]}

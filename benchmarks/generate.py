"""Write a seeded COCO instances file that resembles train2017 in size and shape.

    python benchmarks/generate.py --images 118287 big.json

Separators are as in the original: a comma alone, a colon and a space. Rows go to disk as they are made, so
memory stays flat whatever the size. No picture is needed or written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

FULL = 118_287  # pictures in train2017
PER_IMAGE = 860_001 / 118_287
CHUNK = 4096
GROUPS = ["street", "field", "home", "kitchen", "office", "garden", "harbour", "workshop"]
THINGS = ["box", "frame", "tube", "plate", "wheel", "panel", "cup", "rod", "bag", "lamp"]
SIZES = [(480, 640), (640, 480), (427, 640), (640, 427), (640, 640), (375, 500), (500, 375), (360, 640)]
ID_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # category ids run to 90, ten of them unused

Ints = NDArray[np.int64]

# Every coordinate is a whole number of hundredths up to 640: its text is looked up, not formatted.
TEXT = [repr(k / 100) if k % 100 else str(k // 100) for k in range(64_001)]


def categories() -> list[tuple[int, str, str]]:
    """Eighty categories: id, name, supercategory."""
    ids = [number for number in range(1, 91) if number not in ID_GAPS]
    names = [(f"{group} {thing}", group) for group in GROUPS for thing in THINGS]
    return [(number, name, group) for number, (name, group) in zip(ids, names, strict=True)]


def image_rows(rng: np.random.Generator, ids: Ints, shapes: Ints) -> Iterator[str]:
    """One row for each picture, in the order in which the original writes its keys."""
    moments = rng.integers(0, 28 * 86_400, len(ids)).tolist()
    licences = rng.integers(1, 9, len(ids)).tolist()
    numbers = rng.integers(10**8, 10**10, len(ids)).tolist()
    secrets = rng.integers(16**9, 16**10, len(ids)).tolist()
    farms = rng.integers(1, 10, len(ids)).tolist()
    rows = zip(ids.tolist(), shapes.tolist(), moments, licences, numbers, secrets, farms, strict=True)
    for number, (height, width), moment, licence, photo, secret, farm in rows:
        name = f"{number:012d}.jpg"
        day, second = divmod(moment, 86_400)
        clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        yield (
            f'{{"license": {licence},"file_name": "{name}",'
            f'"coco_url": "http://images.example.org/train2017/{name}",'
            f'"height": {height},"width": {width},"date_captured": "2013-11-{day + 1:02d} {clock}",'
            f'"flickr_url": "http://farm{farm}.photos.example.org/{4000 + photo % 4000}/'
            f'{photo}_{secret:010x}_z.jpg","id": {number}}}'
        )


def rings(rng: np.random.Generator, heights: Ints, widths: Ints) -> tuple[Ints, Ints, Ints]:
    """One ring for each picture given: x and y in hundredths, end to end, and where each ring starts.

    The outline is a wobbly ellipse cut off at the picture's edge; the number of vertices is log-normal.
    """
    count = len(heights)
    vertices = np.clip(np.exp(rng.normal(2.88, 0.64, count)), 3, 600).astype(np.int64)
    starts = np.concatenate(([0], np.cumsum(vertices)[:-1]))
    total = int(vertices.sum())
    owner = np.repeat(np.arange(count), vertices)
    place = np.arange(total) - starts[owner]
    turn = 2 * np.pi * (place + rng.uniform(-0.35, 0.35, total)) / vertices[owner]
    radius = np.clip(np.exp(rng.normal(3.4, 0.95, count)), 2.5, 260)
    squeeze = rng.uniform(0.45, 1.0, count)
    phase = rng.uniform(0, 2 * np.pi, count)
    reach = radius[owner] * (1 + 0.25 * np.sin(3 * turn + phase[owner]) + rng.normal(0, 0.06, total))
    x = (rng.uniform(0.05, 0.95, count) * widths)[owner] + reach * np.cos(turn)
    y = (rng.uniform(0.05, 0.95, count) * heights)[owner] + reach * squeeze[owner] * np.sin(turn)
    step = np.where(rng.random(count) < 0.06, 100, 1)[owner]  # some people click whole pixels
    cents_x = np.clip(np.rint(x * 100).astype(np.int64) // step * step, 0, widths[owner] * 100)
    cents_y = np.clip(np.rint(y * 100).astype(np.int64) // step * step, 0, heights[owner] * 100)
    return cents_x, cents_y, starts


def shoelace(x: Ints, y: Ints, starts: Ints) -> NDArray[np.float64]:
    """The area of each ring, in floating point, with the noise in the last digits that real files have."""
    fx, fy = x / 100, y / 100
    following = np.arange(1, len(x) + 1)
    following[np.append(starts[1:], len(x)) - 1] = starts
    twice = np.add.reduceat(fx * fy[following] - fx[following] * fy, starts)
    return np.abs(twice) / 2


def polygon_rows(
    rng: np.random.Generator, ids: list[int], image_ids: list[int], kinds: list[int], shapes: Ints
) -> Iterator[str]:
    """Annotations outlined by polygons, about one in eleven of them in several parts."""
    parts = np.where(rng.random(len(ids)) < 0.09, rng.integers(2, 5, len(ids)), 1)
    owner = np.repeat(np.arange(len(ids)), parts)
    x, y, starts = rings(rng, shapes[owner, 0], shapes[owner, 1])
    areas = shoelace(x, y, starts)
    first = np.concatenate(([0], np.cumsum(parts)[:-1]))
    area = np.add.reduceat(areas, first).tolist()
    left = np.minimum.reduceat(np.minimum.reduceat(x, starts), first).tolist()
    right = np.maximum.reduceat(np.maximum.reduceat(x, starts), first).tolist()
    top = np.minimum.reduceat(np.minimum.reduceat(y, starts), first).tolist()
    bottom = np.maximum.reduceat(np.maximum.reduceat(y, starts), first).tolist()
    flat = np.empty(2 * len(x), np.int64)
    flat[0::2], flat[1::2] = x, y
    words = list(map(TEXT.__getitem__, flat.tolist()))
    ends = [2 * end for end in [*starts[1:].tolist(), len(x)]]
    begins = [2 * start for start in starts.tolist()]
    texts = [",".join(words[begin:end]) for begin, end in zip(begins, ends, strict=True)]
    lows, counts = first.tolist(), parts.tolist()
    for k, number in enumerate(ids):
        outline = "],[".join(texts[lows[k] : lows[k] + counts[k]])
        box = f"{TEXT[left[k]]},{TEXT[top[k]]},{TEXT[right[k] - left[k]]},{TEXT[bottom[k] - top[k]]}"
        yield (
            f'{{"segmentation": [[{outline}]],"area": {area[k]!r},"iscrowd": 0,"image_id": {image_ids[k]},'
            f'"bbox": [{box}],"category_id": {kinds[k]},"id": {number}}}'
        )


def crowd_row(
    rng: np.random.Generator, number: int, image_id: int, kind: int, height: int, width: int
) -> str:
    """A crowd: a band of columns, each with a run or two of pixels, as uncompressed RLE."""
    x0 = int(rng.integers(0, width - 20))
    x1 = int(rng.integers(x0 + 10, width))
    columns = x1 - x0
    middle = height * (0.5 + 0.08 * np.sin(np.arange(columns) / 17 + rng.uniform(0, 6)))
    tops = np.clip(middle - rng.uniform(12, 60, columns), 1, height - 30).astype(np.int64)
    bottoms = np.clip(tops + rng.integers(12, 70, columns), None, height - 1)
    edges = np.empty(2 * columns, np.int64)  # where runs of zeros end and runs of ones end, down the columns
    edges[0::2] = (x0 + np.arange(columns)) * height + tops
    edges[1::2] = (x0 + np.arange(columns)) * height + bottoms
    counts = np.diff(np.concatenate(([0], edges, [height * width])))
    top, bottom = int(tops.min()), int(bottoms.max())
    runs = ",".join(map(str, counts.tolist()))
    return (
        f'{{"segmentation": {{"counts": [{runs}],"size": [{height},{width}]}},'
        f'"area": {int((bottoms - tops).sum())},"iscrowd": 1,"image_id": {image_id},'
        f'"bbox": [{x0},{top},{columns},{bottom - top}],"category_id": {kind},"id": {number}}}'
    )


def write_list(out: TextIO, rows: Iterator[str]) -> int:
    """Write rows as a JSON array; say how many."""
    count = 0
    separator = "["
    for row in rows:
        out.write(separator)
        out.write(row)
        separator = ","
        count += 1
    out.write("]" if count else "[]")
    return count


def annotation_rows(rng: np.random.Generator, image_ids: Ints, shapes: Ints, count: int) -> Iterator[str]:
    """All annotations, in an order that has nothing to do with the pictures."""
    # Some pictures are crowded, a few stay empty.
    share = np.cumsum(np.exp(rng.normal(0, 0.85, len(image_ids))))
    kinds = np.array([row[0] for row in categories()])
    weights = np.cumsum(1 / np.arange(1, len(kinds) + 1) ** 0.8)
    numbers = rng.permutation(np.arange(1, count + 1) * 2 + rng.integers(0, 2, count))
    for begin in range(0, count, CHUNK):
        size = min(CHUNK, count - begin)
        which = np.searchsorted(share, rng.uniform(0, share[-1], size), side="right")
        kind = kinds[np.searchsorted(weights, rng.uniform(0, weights[-1], size), side="right")]
        ids, images, sizes = numbers[begin : begin + size], image_ids[which], shapes[which]
        crowd = rng.random(size) < 0.0117
        plain = ~crowd
        polygons = polygon_rows(
            rng, ids[plain].tolist(), images[plain].tolist(), kind[plain].tolist(), sizes[plain]
        )
        for k, is_crowd in enumerate(crowd.tolist()):
            if is_crowd:
                height, width = sizes[k].tolist()
                number = 900_000_000_000 + int(ids[k])
                yield crowd_row(rng, number, int(images[k]), int(kind[k]), height, width)
            else:
                yield next(polygons)


def generate(path: Path, images: int, *, seed: int = 2017) -> int:
    """Write the file; say how many annotations it has."""
    rng = np.random.default_rng(seed)
    image_ids = rng.choice(max(581_929, 5 * images), images, replace=False) + 1
    shapes = np.array(SIZES)[rng.choice(len(SIZES), images, p=[0.2, 0.08, 0.3, 0.12, 0.04, 0.12, 0.06, 0.08])]
    with path.open("w", encoding="ascii", newline="", buffering=1 << 20) as out:
        out.write(
            '{"info": {"description": "Synthetic instances","url": "http://example.org","version": "1.0",'
            '"year": 2017,"contributor": "benchmarks/generate.py","date_created": "2017/09/01"},"licenses": '
        )
        site = "http://example.org/licenses"
        write_list(out, (f'{{"url": "{site}/{k}/","id": {k},"name": "Licence {k}"}}' for k in range(1, 9)))
        out.write(',"images": ')
        write_list(out, image_rows(rng, image_ids, shapes))
        out.write(',"annotations": ')
        written = write_list(out, annotation_rows(rng, image_ids, shapes, round(images * PER_IMAGE)))
        out.write(',"categories": ')
        kinds = categories()
        write_list(out, (f'{{"supercategory": "{g}","id": {k},"name": "{name}"}}' for k, name, g in kinds))
        out.write("}")
    return written


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description="Write a seeded COCO instances file like train2017.")
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--images", type=int, default=FULL, help="number of pictures (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=2017, help="same seed, same file (default: %(default)s)")
    options = parser.parse_args()
    begun = time.perf_counter()
    written = generate(options.out, options.images, seed=options.seed)
    size = options.out.stat().st_size / 1e6
    seconds = time.perf_counter() - begun
    print(f"{options.out}: {options.images} images, {written} annotations, {size:.1f} MB, {seconds:.1f} s")


if __name__ == "__main__":
    main()

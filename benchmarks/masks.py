"""RLE to PNG and other trips of masks, against pycocotools and Pillow with their defaults, in the same run.

    python benchmarks/masks.py [--masks 10000] [--smoke]

Masks are random blobs, some with holes, in pictures of 640 x 480. Times are per mask, of the best round.
"""

from __future__ import annotations

import argparse
import io
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from nucleus_convert.converters import contours, indexmap, masks, png, raster

HEIGHT, WIDTH = 480, 640


def make_masks(count: int) -> list[str]:
    """Compressed RLE of random blobs: radius 10 to 150 pixels, evenly spread on a logarithmic scale."""
    random = np.random.default_rng(480640)
    made = []
    angles = np.arange(48) * (2 * math.pi / 48)
    for number in range(count):
        cx, cy, radius = random.uniform(0, WIDTH), random.uniform(0, HEIGHT), math.exp(random.uniform(2.3, 5))
        wobble = sum(
            random.normal(0, 0.3 / k) * np.sin(k * angles + random.uniform(0, 7)) for k in range(2, 9)
        )
        reach = radius * np.clip(1 + wobble, 0.2, 3)
        ring = np.stack([cx + reach * np.cos(angles), cy + reach * np.sin(angles)], axis=1).ravel()
        part = [ring.tolist()]
        if number % 5 == 0:
            inner = np.stack(
                [cx + reach * np.cos(angles) / 4, cy + reach * np.sin(angles) / 4], axis=1
            ).ravel()
            part.append(inner.tolist())
        made.append(raster.from_parts([part], HEIGHT, WIDTH))
    return made


def baseline_png(counts: str) -> bytes:
    """Decode by pycocotools, encode by Pillow, both as they are."""
    array = coco_mask.decode({"size": [HEIGHT, WIDTH], "counts": counts})
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def our_png(counts: str) -> bytes:
    """Decode, check, paint, encode."""
    return png.encode(indexmap.paint([(1, masks.decode_counts(counts))], HEIGHT, WIDTH).pixels)


def baseline_rle(data: bytes) -> Any:
    """Decode by Pillow, encode by pycocotools."""
    with Image.open(io.BytesIO(data)) as image:
        return coco_mask.encode(np.asfortranarray(np.asarray(image)))["counts"].decode()


def our_rle(data: bytes) -> str:
    """Decode, check, split, encode."""
    found = indexmap.split(png.decode(data))
    return masks.encode_counts(found[1] if found else np.array([HEIGHT * WIDTH]))


def our_polygons(counts: str) -> list[tuple[int | float, ...]]:
    """Outlines and holes, as keyhole rings."""
    return [contours.keyhole(part) for part in contours.trace(masks.decode_counts(counts), HEIGHT)]


def measure(call: Callable[[Any], Any], inputs: Sequence[Any], rounds: int) -> tuple[float, list[Any]]:
    """Seconds a call takes, in the best round, and what the last round returned."""
    best, results = math.inf, []
    for _ in range(rounds):
        begin = time.perf_counter()
        results = [call(value) for value in inputs]
        best = min(best, time.perf_counter() - begin)
    return best / len(inputs), results


def milliseconds(theirs: float, ours: float) -> str:
    """Both times and their ratio, for a line of the table."""
    return f"{theirs * 1e3:7.3f} ms -> {ours * 1e3:7.3f} ms  {theirs / ours:6.1f} times as fast"


def main() -> None:
    """Run the trips and print times, sizes and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--masks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="200 masks, one round")
    options = parser.parse_args()
    count, rounds = (200, 1) if options.smoke else (options.masks, options.rounds)
    warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' decode
    texts = make_masks(count)
    print(f"{count} masks of {WIDTH} x {HEIGHT}, mean RLE {sum(map(len, texts)) / count:.0f} bytes;", end=" ")
    print(f"deflate by {png.BACKEND}")

    theirs, their_files = measure(baseline_png, texts, rounds)
    ours, our_files = measure(our_png, texts, rounds)
    their_size, our_size = (sum(map(len, files)) / count for files in (their_files, our_files))
    print(f"RLE to PNG    {milliseconds(theirs, ours)}")
    print(
        f"        size  {their_size:7.0f} B  -> {our_size:7.0f} B  {our_size / their_size:7.2f} times as big"
    )

    theirs, their_texts = measure(baseline_rle, their_files, rounds)
    ours, our_texts = measure(our_rle, their_files, rounds)
    own, own_texts = measure(our_rle, our_files, rounds)
    print(f"PNG to RLE    {milliseconds(theirs, ours)}, reading Pillow's files")
    print(f"              {milliseconds(theirs, own)}, reading ours")
    if not texts == their_texts == our_texts == own_texts:
        raise SystemExit("masks changed on the way")

    spent, polygons = measure(our_polygons, texts, rounds)
    print(f"RLE to rings  {spent * 1e3:7.3f} ms")
    if any(
        rings and raster.from_polygons(rings, HEIGHT, WIDTH) != text
        for rings, text in zip(polygons, texts, strict=True)
    ):
        raise SystemExit("polygons changed the masks")

    pictures = [
        [(index, masks.decode_counts(text)) for index, text in enumerate(texts[i : i + 20], 1)]
        for i in range(0, count, 20)
    ]
    spent, files = measure(
        lambda layers: png.encode(indexmap.paint(layers, HEIGHT, WIDTH).pixels), pictures, rounds
    )
    print(f"20 masks, PNG {spent * 1e3:7.3f} ms, {sum(map(len, files)) / len(files):.0f} B")


if __name__ == "__main__":
    main()

"""Masks to try the codecs on: the same ten thousand every time."""

import numpy as np
import pytest


def _adversarial():
    for height, width in [
        (1, 1),
        (1, 2),
        (2, 1),
        (1, 17),
        (17, 1),
        (2, 2),
        (3, 3),
        (5, 8),
        (16, 16),
        (33, 31),
    ]:
        empty = np.zeros((height, width), np.uint8)
        rows, columns = np.indices(empty.shape)
        yield empty
        yield empty + 1
        for pattern in (
            (rows + columns) % 2,
            (rows + columns + 1) % 2,
            rows % 2,
            columns % 2,
            rows == height // 2,
            columns == width // 2,
            rows == columns,
            rows == width - 1 - columns,
            (rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1),  # a frame
            (rows % 4 < 2) ^ (columns % 4 < 2),  # 2 x 2 pixels touching at corners
            np.minimum(np.minimum(rows, columns), np.minimum(height - 1 - rows, width - 1 - columns))
            % 2,  # rings
        ):
            yield pattern.astype(np.uint8)
        for row, column in {(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1)}:
            one = empty.copy()
            one[row, column] = 1
            yield one
            yield 1 - one
    for height, width in [(1, 4), (4, 1), (2, 3), (3, 2), (3, 3)]:  # all there are
        for bits in range(2 ** (height * width)):
            yield np.array([bits >> i & 1 for i in range(height * width)], np.uint8).reshape(height, width)


def _random(count):
    random = np.random.default_rng(20240229)
    for number in range(count):
        height, width = random.integers(1, 41, 2)
        if number % 3:
            yield (random.random((height, width)) < random.random()).astype(np.uint8)
        else:  # discs and disc-shaped holes
            rows, columns = np.indices((height, width))
            mask = np.zeros((height, width), np.uint8)
            for value in (1, 1, 0, 1, 0):
                y, x, r = random.uniform(-5, 45, 3)
                mask[(rows - y) ** 2 + (columns - x) ** 2 <= r * r / 4] = value
            yield mask


@pytest.fixture(scope="session")
def ten_thousand_masks():
    """Masks of 0 and 1, shape (height, width): the awkward ones, then random noise and blobs with holes."""
    awkward = list(_adversarial())
    return awkward + list(_random(10_000 - len(awkward)))

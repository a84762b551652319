"""Pascal VOC's palette: a number's colour, by the bits of the number. Pictures of labels use it the world over."""

from __future__ import annotations

import functools


@functools.cache
def voc_palette() -> bytes:
    """Pascal VOC's 256 colours ``r, g, b, …``: an index's bits 3j, 3j + 1, 3j + 2 are bit 7 - j of each."""
    return bytes(
        sum((index >> (3 * j + channel) & 1) << (7 - j) for j in range(3))
        for index in range(256)
        for channel in range(3)
    )

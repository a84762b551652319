"""Where the names of objects are written on a card: none over another, and none at all where there are too many."""

from __future__ import annotations

from typing import NamedTuple

from nucleus_convert.converters.previewing.draw import Drawn
from nucleus_convert.converters.previewing.scene import Card

NAMES_UP_TO = 14
"""Objects of one item up to which their names are written beside them."""
_SIZE, _ADVANCE = 12, 0.62
"""Height of the letters in pixels as shown, and the width of one by its height."""
_LONGEST = 40


class Name(NamedTuple):
    """A name and where it begins, on the line that its letters stand on; ``size`` is their height."""

    text: str
    x: float
    y: float
    size: float


class Names:
    """The places of names on one card.

    Args:
        card: what they are written on.
        unit: pixels of its canvas that are shown as one.
    """

    def __init__(self, card: Card, unit: float) -> None:
        self._card = card
        self._unit = unit
        self._few = len(card.things) <= NAMES_UP_TO
        self._taken: list[tuple[float, float, float]] = []

    def of(self, thing: Drawn) -> Name | None:
        """The next name; None where there is no room, or nothing to name."""
        if not self._few or thing.anchor is None or not thing.label:
            return None
        unit, size = self._unit, _SIZE * self._unit
        x = min(max(thing.anchor[0], 0.0), self._card.width)
        # The second one's names go below: the first one's are above.
        above, below = thing.anchor[1] - 4 * unit, thing.foot + 0.95 * size + 2 * unit
        y = min(max(below, size), self._card.height - 0.3 * size) if thing.side == "b" else max(above, size)
        y = min(y, self._card.height)
        text = thing.label[:_LONGEST]
        if thing.confidence is not None:
            text += f" {thing.confidence:.2f}"
        end = x + _ADVANCE * size * len(text)
        if any(x < right and left < end and abs(y - line) < size for left, right, line in self._taken):
            return None
        self._taken.append((x, end, y))
        return Name(text, x, y, size)

"""A contact sheet: the same cards as one PNG, drawn with pillow."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from nucleus_convert.converters.previewing.draw import Area, Drawn, Labels, Mark, Stroke
from nucleus_convert.converters.previewing.names import Names
from nucleus_convert.converters.previewing.scene import Card
from nucleus_convert.converters.wording import printable

CELL = 300
"""Width and height of the pictures, in pixels."""
GAP, CAPTION, FONT = 14, 24, 12
MAX_SIDE = 30_000
PAPER, INK, SOFT, GREY = (255, 255, 255), (29, 35, 48), (102, 112, 138), (91, 98, 112)
FINE = 2
"""Marks are drawn so many times as large, and made small, so that their edges are smooth."""


def write(path: Path, cards: Iterable[Card], labels: Labels, columns: int) -> None:
    """Write the sheet.

    Args:
        path: the PNG to make.
        cards: what to show.
        labels: their colours, for the legend.
        columns: cards in a row.
    """
    cells, names = [], dict[str, None]()
    for card in cards:
        cells.append((_cell(card), card.name))
        names |= dict.fromkeys(thing.label for thing in card.things)
        if (len(cells) // columns + 1) * (CELL + CAPTION + GAP) > MAX_SIDE:
            break
    columns = max(1, min(columns, len(cells)))
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [max(cell.height for cell, _ in row) + CAPTION + GAP for row in rows]
    width = GAP + columns * (CELL + GAP)
    font = ImageFont.load_default(FONT)
    legend = _legend([name for name in names if name], labels, width, font)
    sheet = Image.new("RGB", (width, GAP + sum(heights) + legend.height), PAPER)
    pen = ImageDraw.Draw(sheet)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for i, (cell, name) in enumerate(row):
            left = GAP + i * (CELL + GAP)
            sheet.paste(cell, (left, top))
            pen.text((left + 1, top + cell.height + 4), _fitting(name, CELL, font), INK, font)
        top += height
    sheet.paste(legend, (0, top))
    sheet.save(path, "PNG", optimize=True)


def _cell(card: Card) -> Any:
    scale = min(CELL / card.width, CELL / card.height)
    size = max(1, min(CELL, round(card.width * scale))), max(1, min(CELL, round(card.height * scale)))
    if card.picture is None:
        cell = Image.new("RGB", size, GREY)
    else:
        with Image.open(io.BytesIO(card.picture.data)) as image:
            cell = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    fine = cell.resize((size[0] * FINE, size[1] * FINE))
    sizes = fine.width / card.width, fine.height / card.height
    for thing in card.things:
        fine = _over(fine, thing, sizes)
    cell = fine.resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(cell)
    font = ImageFont.load_default(FONT - 1)
    names = Names(card, card.width / cell.width)
    for name in filter(None, map(names.of, card.things)):
        place = max(1.0, name.x * sizes[0] / FINE), name.y * sizes[1] / FINE
        pen.text(place, _latin(name.text), (255, 255, 255), font, "ls", stroke_width=2, stroke_fill=(16, 20, 28))
    whole = Image.new("RGB", (CELL, size[1]), PAPER)
    whole.paste(cell, ((CELL - size[0]) // 2, 0))
    return whole


def _over(image: Any, thing: Drawn, scale: tuple[float, float]) -> Any:
    """The picture with one object drawn over it."""
    colour = tuple(int(thing.colour[i : i + 2], 16) for i in (1, 3, 5))
    areas = [mark for mark in thing.marks if isinstance(mark, Area)]
    if areas:
        veil = Image.new("L", image.size, 0)
        for area in areas:
            # By the even-odd rule: each ring turns what is inside it over.
            for ring in area.rings:
                part = Image.new("L", image.size, 0)
                ImageDraw.Draw(part).polygon(_scaled(ring, scale), 45)
                veil = _turned_over(veil, part)
        image.paste(Image.new("RGB", image.size, colour), mask=veil)
    pen = ImageDraw.Draw(image)
    for mark in thing.marks:
        for line in _lines(mark, scale):
            _line(pen, line, colour, dashed=thing.side == "b")
        if not isinstance(mark, Area | Stroke):
            x, y = mark.x * scale[0], mark.y * scale[1]
            radius = 3 * FINE
            fill = None if mark.hollow else colour
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill, (255, 255, 255), FINE)
    return image


def _turned_over(veil: Any, part: Any) -> Any:
    from PIL import ImageChops

    return ImageChops.difference(veil, part)


def _lines(mark: Mark, scale: tuple[float, float]) -> Iterator[list[tuple[float, float]]]:
    if isinstance(mark, Area):
        for ring in mark.rings:
            yield _scaled([*ring, *ring[:2]], scale)
    elif isinstance(mark, Stroke):
        yield _scaled(mark.points, scale)


def _scaled(points: Sequence[float], scale: tuple[float, float]) -> list[tuple[float, float]]:
    return [(x * scale[0], y * scale[1]) for x, y in zip(points[0::2], points[1::2], strict=False)]


def _line(pen: Any, points: list[tuple[float, float]], colour: tuple[int, ...], *, dashed: bool) -> None:
    if not dashed:
        pen.line(points, colour, 2 * FINE, "curve")
        return
    dash = 6.0 * FINE
    for (ax, ay), (bx, by) in itertools.pairwise(points):
        length = math.dist((ax, ay), (bx, by))
        for i in range(0, min(int(length / dash) + 1, 2000), 2):
            start, end = i * dash / (length or 1), min(1.0, (i + 1) * dash / (length or 1))
            pen.line([(ax + (bx - ax) * t, ay + (by - ay) * t) for t in (min(start, end), end)], colour, 2 * FINE)


def _legend(names: Sequence[str], labels: Labels, width: int, font: Any) -> Any:
    """The labels and their colours, in as many rows as they need."""
    places, x, y = [], GAP, 0
    for name in names[:60]:
        text = _fitting(name, 160, font)
        length = int(font.getlength(text)) + 32
        if x + length > width - GAP and x > GAP:
            x, y = GAP, y + 22
        places.append((x, y, name, text))
        x += length
    made = Image.new("RGB", (width, y + 22 + GAP if places else 1), PAPER)
    pen = ImageDraw.Draw(made)
    for x, y, name, text in places:
        pen.rounded_rectangle((x, y + 2, x + 13, y + 15), 3, labels.colour(name))
        pen.text((x + 19, y + 2), text, SOFT, font)
    return made


def _fitting(text: str, width: int, font: Any) -> str:
    """As much of a text as there is room for."""
    text = _latin(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[: len(text) - max(1, len(text) // 20)]
    return text + "..."


def _latin(text: str) -> str:
    """Text in letters that pillow's own font has."""
    return "".join(c if ord(c) < 0x250 else "?" for c in printable(text[:400]))

"""The page: one HTML file that needs nothing else, neither a network nor another file.

All that comes from a data set is escaped, and goes into text and into attributes that hold numbers or colours of
ours. The page's policy allows its own style and script by their digests, pictures within it, and nothing more, so
that what slipped through would still do nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from importlib import resources
from typing import IO

import msgspec

from nucleus_convert.converters.previewing.draw import Area, Drawn, Labels, Mark, Stroke
from nucleus_convert.converters.previewing.names import Names
from nucleus_convert.converters.previewing.scene import Card
from nucleus_convert.converters.wording import printable

WIDE = 1.9
"""Width to height from which on a card is flat."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What the page is of.

    ``sides`` names the two data sets, or labels and predictions; it is empty where there is but one.
    ``compared`` says whether objects have a fate: added, removed, changed, same. ``nothing`` says why, if there is
    nothing to show.
    """

    title: str
    facts: str
    nothing: str
    sides: tuple[str, str] | None = None
    compared: bool = False


def write(file: IO[str], cards: Iterable[Card], about: About, labels: Labels, names: Iterable[str]) -> None:
    """Write the page, card by card.

    Args:
        file: to write to.
        cards: what to show.
        about: the page's heading, and which controls it needs.
        labels: their colours.
        names: of labels, in the order in which they are listed; others follow.
    """
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    counts: Counter[str] = Counter()
    graded = False
    style, script = _asset("page.css"), _asset("page.js")
    made: list[str] = []
    for card in cards:  # the controls, which stand before them, count what is in them
        for thing in card.things:
            numbers.setdefault(thing.label, len(numbers))
            counts[thing.label] += 1
            graded = graded or thing.confidence is not None
        made.append("".join(_card(card, numbers)))
    whole = _asset("page.html").format(
        title=_text(about.title),
        facts=_text(about.facts),
        style=style,
        style_hash=_digest(style),
        script=script,
        script_hash=_digest(script),
        controls="\n".join(_controls(about, labels, numbers, counts, graded=graded)),
        cards="\n".join(made) or f"<p>Nothing to show: {_text(about.nothing)}.</p>",
    )
    file.write(whole)


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text(text: str) -> str:
    """Text of a data set, safe in text and in quoted attributes."""
    return escape(printable(text), quote=True)


# --- controls ------------------------------------------------------------------------------------------


def _controls(
    about: About, labels: Labels, numbers: dict[str, int], counts: Counter[str], *, graded: bool
) -> Iterator[str]:
    yield '<fieldset><legend>Objects <output id="shown"></output></legend>'
    yield _check("names", "names")
    yield _check("fill", "filled")
    yield _check("filled", "hide empty items", on=False)
    if about.compared:
        yield _check("different", "only what differs", on=False)
    yield "</fieldset>"
    if about.sides:
        yield "<fieldset><legend>Show</legend>"
        for value, name in (("both", "both"), ("a", about.sides[0]), ("b", f"{about.sides[1]} (dashed)")):
            on = " checked" if value == "both" else ""
            box = f'<input type="radio" name="side" value="{value}"{on}>'
            yield f'<label>{box}<span class="name">{_text(name)}</span></label>'
        yield "</fieldset>"
    if graded:
        yield '<fieldset><legend>Confidence <output id="least"></output></legend>'
        yield '<input type="range" id="confidence" min="0" max="1" step="0.01" value="0" aria-label="least confidence">'
        yield "</fieldset>"
    yield '<fieldset><legend>Labels <button id="every" type="button">all</button> <button id="none" type="button">none'
    yield "</button></legend>"
    for name, number in numbers.items():
        if counts[name]:
            yield (
                f'<label><input type="checkbox" data-label="{number}" checked>{_swatch(labels.colour(name))}'
                f'<span class="name">{_text(name or "without a label")}</span>'
                f'<span class="count">{counts[name]}</span></label>'
            )
    yield "</fieldset>"


def _check(name: str, text: str, *, on: bool = True) -> str:
    box = f'<input type="checkbox" id="{name}"{" checked" if on else ""}>'
    return f'<label>{box}<span class="name">{text}</span></label>'


def _swatch(colour: str) -> str:
    return f'<svg class="swatch" viewBox="0 0 2 2"><rect width="2" height="2" rx=".5" fill="{colour}"/></svg>'


# --- cards ---------------------------------------------------------------------------------------------


def _card(card: Card, numbers: dict[str, int]) -> Iterator[str]:
    width, height = _number(card.width), _number(card.height)
    box = f'viewBox="0 0 {width} {height}"'
    shape = "frame wide" if card.width > WIDE * card.height else "frame"
    yield f'<figure><div class="{shape}"><svg class="view" {box}>'
    if card.picture is not None:
        yield f'<image width="{width}" height="{height}" preserveAspectRatio="none" href="{card.picture.uri}"/>'
    else:
        yield f'<rect width="{width}" height="{height}" fill="#5b6270"/>'
    if card.sensor is not None:
        yield from _metres(card)
    names = Names(card, card.unit)
    yield f'</svg><svg class="view marks" {box} role="img" aria-label="{_text(card.name)}">'
    for thing in card.things:
        if thing.marks:
            yield from _thing(thing, card, numbers, names)
    yield "</svg></div>"
    yield f'<figcaption><div class="name">{_text(card.name)}</div><div class="facts">{_text(card.facts)}'
    if card.more:
        yield f" · {card.more:,} more objects are not drawn"
    yield "</div>"
    spoken = [thing for thing in card.things if thing.spoken is not None or not thing.marks]
    if spoken:
        yield '<div class="spoken">'
        for thing in spoken:
            text = thing.label or "without a label" if thing.spoken is None else thing.spoken
            yield (
                f'<span class="o"{_data(thing, numbers)}>{_swatch(thing.colour)}<span hidden>{_desc(thing)}</span>'
                f"{_text(text)}</span>"
            )
        yield "</div>"
    if card.notes:
        yield '<ul class="notes">'
        yield from (f'<li class="{kind}">{_text(text)}</li>' for kind, text in card.notes)
        yield "</ul>"
    yield "</figcaption></figure>"


def _data(thing: Drawn, numbers: dict[str, int]) -> str:
    """What the filters go by: numbers and words of ours."""
    text = f' data-l="{numbers[thing.label]}" data-s="{thing.side}"'
    if thing.status:
        text += f' data-d="{thing.status}"'
    if thing.confidence is not None:
        text += f' data-c="{thing.confidence:.6g}"'
    return text


def _desc(thing: Drawn) -> str:
    lines = "\n".join(map(_text, thing.details))
    return f"<desc>{lines}</desc>"


def _thing(thing: Drawn, card: Card, numbers: dict[str, int], names: Names) -> Iterator[str]:
    side = " b" if thing.side == "b" else ""
    yield f'<g class="o{side}"{_data(thing, numbers)} stroke="{thing.colour}" fill="{thing.colour}">{_desc(thing)}'
    if thing.trail is not None:
        yield f'<polyline class="trail" points="{_points(thing.trail.points)}"/>'
    for mark in thing.marks:
        yield _mark(mark, card.unit)
    name = names.of(thing)
    if name is not None:
        x, y, size = map(_number, (name.x, name.y, name.size))
        yield f'<text x="{x}" y="{y}" font-size="{size}">{_text(name.text)}</text>'
    yield "</g>"


def _mark(mark: Mark, unit: float) -> str:
    if isinstance(mark, Area):
        path = "".join(f"M{_points(ring)}Z" for ring in mark.rings)
        return f'<path fill-rule="evenodd" d="{path}"/>'
    if isinstance(mark, Stroke):
        points = _points(mark.points)
        faint = ' class="faint"' if mark.faint else ""
        return f'<polyline{faint} points="{points}"/><polyline class="hit" points="{points}"/>'
    look = "dot hollow" if mark.hollow else "dot"
    return f'<circle class="{look}" cx="{_number(mark.x)}" cy="{_number(mark.y)}" r="{_number(4 * unit)}"/>'


def _metres(card: Card) -> Iterator[str]:
    """Lines every ten metres from the sensor, and the sensor."""
    lines = [f"M{_number(x)} 0V{_number(card.height)}" for x in card.across]
    lines += [f"M0 {_number(y)}H{_number(card.width)}" for y in card.along]
    yield f'<path class="grid" d="{"".join(lines)}"/>'
    if card.sensor is not None:
        x, y = card.sensor
        yield f'<circle class="sensor" cx="{_number(x)}" cy="{_number(y)}" r="{_number(4 * card.unit)}"/>'


def _points(values: Iterable[float]) -> str:
    return " ".join(map(_number, values))


def _number(value: float) -> str:
    text = f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

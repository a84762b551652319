"""A preview of one data set, or of two side by side: chooses items, and writes the page and the contact sheet."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from nucleus_convert.converters import diff, output, signals
from nucleus_convert.converters.diff import Diff, Side, Tolerance
from nucleus_convert.converters.errors import OptionError
from nucleus_convert.converters.model import Label
from nucleus_convert.converters.opening import DataSet
from nucleus_convert.converters.previewing import page, pictures, sample, scene
from nucleus_convert.converters.previewing.draw import Labels
from nucleus_convert.converters.previewing.page import About
from nucleus_convert.converters.previewing.scene import Card, Stage
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.wording import plural

COMPARED = {"added": "added", "removed": "removed", "changed": "changed"}
ORDERS = {"differences": "the largest differences first", "problems": "the gravest problems first"}
NOTHING = {
    "differences": "no item differs",
    "problems": "no item has a problem that can be told of it alone",
    "sample": "there are no items",
}
SCORED = {"added": "too many", "removed": "missed", "changed": "of another label"}
LOOKED_AT = 200
"""Items that are looked at to tell predictions from annotations."""
MATCHED = 0.5
"""A prediction is right if its label is, and its intersection over union with what it stands for is so large."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a preview is to show, and where it goes.

    Attributes:
        html: the page to write, or None.
        png: the contact sheet to write, or None.
        items: how many items, at most.
        seed: which, where they are drawn by chance.
        labels: only items with one of these labels, if there are any.
        pick: any items, those with the most problems, or of two data sets those that differ the most; None: the
            last if there are two, else any.
        images: the folder with the pictures; None: look beside the labels.
        width: the width pictures are shown at, in pixels.
        columns: cards in a row of the contact sheet.
        overwrite: replace what is there.
    """

    html: Path | None = None
    png: Path | None = None
    items: int = 24
    seed: int = 0
    labels: tuple[str, ...] = ()
    pick: sample.Pick | None = None
    images: Path | None = None
    width: int = 480
    columns: int = 4
    overwrite: bool = False


def make(first: DataSet, other: DataSet | None, plan: Plan) -> int:
    """Write a preview, and return the number of items on it.

    Args:
        first: the data set; where there are two, the one before, or what predictions are held against.
        other: the second one.
        plan: what to show, and where it goes.

    Raises:
        OptionError: no data set has a label that was asked for.
        OutputExistsError: something is there already.
        WriteError: it cannot be written.
    """
    wrong = "differences" if other is None else "problems"
    if plan.pick == wrong:
        raise OptionError(f"items cannot be picked by {wrong} of {'one data set' if other is None else 'two'}")
    targets = [path for path in (plan.html, plan.png) if path is not None]
    for path in targets:
        output.check_target(path, overwrite=plan.overwrite)
    everything = _labels(first, other)
    _check_labels(plan.labels, everything)
    labels = Labels(everything)
    guessed = other is not None and _predicts(other)
    if other is None:
        pick = plan.pick or "sample"
        chosen = sample.of_one(first.labels, plan.items, plan.seed, plan.labels, pick, first.report)
    else:
        found = Diff(_side(first), _side(other), _scoring() if guessed else None)
        pick = plan.pick or "differences"
        chosen = sample.of_two(found, plan.items, plan.seed, plan.labels, pick)
    both = [one for one in (first, other) if one is not None]
    roots = [root for one in both for root in pictures.roots(one.path, one.labels.images, plan.images)]
    stage = Stage(pictures.Finder(roots), labels, plan.width, SCORED if guessed else COMPARED)

    def cards() -> Iterator[Card]:
        return scene.cards(chosen, stage)

    names = [label.name for label in everything]
    for path in targets:
        with output.staging(path) as folder:
            staged = folder / path.name
            if path is plan.html:
                shown = (annotation for one in chosen for record in one.records for annotation in record.annotations)
                mixed = any(annotation.is_prediction for annotation in shown)
                about = _about(first, other, len(chosen), pick, plan.labels, mixed=mixed, guessed=guessed)
                with staged.open("w", encoding="utf-8", newline="\n") as file:
                    page.write(file, cards(), about, labels, names)
            else:
                from nucleus_convert.converters.previewing import sheet

                sheet.write(staged, cards(), labels, plan.columns)
            signals.check()
            with signals.undisturbed():
                output.commit(staged, path)
    return len(chosen)


def _labels(first: DataSet, other: DataSet | None) -> list[Label]:
    both = [label for one in (first, other) if one is not None for label in one.labels.header.labels]
    return list({label.name: label for label in reversed(both)}.values())[::-1]


def _check_labels(wanted: Collection[str], labels: Collection[Label]) -> None:
    from nucleus_convert.converters.options import did_you_mean

    known = [label.name for label in labels]
    for name in wanted:
        if name not in known:
            raise OptionError(f"no label is called '{name}'", hint=did_you_mean(name, known, "labels"))


def _side(one: DataSet) -> Side:
    return Side(one.labels, one.spec, one.report)


def _predicts(one: DataSet) -> bool:
    """Whether a data set is of predictions, going by its first items with objects."""
    records = itertools.islice(one.labels.records(Report("skip")), LOOKED_AT)
    annotations = [annotation for record in records for annotation in record.annotations]
    return bool(annotations) and all(annotation.is_prediction for annotation in annotations)


def _scoring() -> Tolerance:
    """Predictions are compared by label and place only."""
    return Tolerance(ignore=frozenset(diff.FIELDS) - {"label"}, overlap=MATCHED)


def _about(
    first: DataSet,
    other: DataSet | None,
    shown: int,
    pick: sample.Pick,
    wanted: Collection[str],
    *,
    mixed: bool,
    guessed: bool,
) -> About:
    facts = [plural(shown, "item")]
    if first.labels.size is not None:
        facts[0] += f" of {first.labels.size:,}"
    balances = [one.report.ledger.balance() for one in (first, other) if one is not None]
    if skipped := sum(balance[kind]["skipped"] for balance in balances for kind in ("item", "object")):
        facts.append(f"{plural(skipped, 'record')} could not be read")
    facts += [ORDERS[pick]] if pick in ORDERS else []
    names = [f"{Path(one.name).name} ({one.spec.name})" for one in (first, other) if one is not None]
    sides: tuple[str, str] | None
    if other is not None:
        sides = ("labels", "predictions") if guessed else ("before", "after")
    else:
        sides = ("labels", "predictions") if mixed else None
    nothing = NOTHING[pick]
    if wanted:
        nothing = "no item has these labels" if pick == "sample" else f"of those with these labels {nothing}"
    title = " and ".join(names)
    return About(title=title, facts=" · ".join(facts), nothing=nothing, sides=sides, compared=other is not None)

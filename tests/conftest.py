"""Data sets that many tests speak of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nucleus_convert import Annotation, Box, Header, Item, Label, LabelSet, Record, from_records

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of small inputs made by hand."""
    return ROOT / "fixtures"


@pytest.fixture
def boxes() -> Callable[..., LabelSet]:
    """Makes a data set of so many items, each with a cat and a dog."""

    def make(count: int) -> LabelSet:
        header = Header(labels=(Label(name="cat", id=1), Label(name="dog", id=2)))
        records = [
            Record(
                Item(id=number, path=f"{number}.jpg", width=64, height=48),
                (
                    Annotation(label="cat", id=2 * number, shapes=(Box(1.25, 2, 3, number + 0.5),)),
                    Annotation(label="dog", id=2 * number + 1, shapes=(Box(4, 5, 6, 7),)),
                ),
            )
            for number in range(count)
        ]
        return from_records(header, records)

    return make

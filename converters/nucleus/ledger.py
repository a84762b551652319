"""What rows of Nucleus data mean together: ids used twice, kinds of metadata, categories, items that are not there.

Names are kept as hashes in arrays, eight bytes each, so that millions of rows take little; which rows those were
that stand twice is found by a second look (:meth:`Ledger.naming`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from nucleus_convert.converters.checking.catalogue import Code
from nucleus_convert.converters.checking.consistency import taxonomy_name
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.nucleus.metadata import KEY
from nucleus_convert.converters.nucleus.pictures import is_remote
from nucleus_convert.converters.nucleus.rules import Place, default_id
from nucleus_convert.formats.nucleus import wire

Scope: TypeAlias = Literal["items", "annotations", "scenes"]
DISTINCT = 250
"""Different strings under a key that Nucleus makes a histogram of."""
KEYS = 2_000
"""Metadata keys of items, of annotations and of scenes whose strings are counted."""
_NUMBERS, _STRINGS = 1, 2
_UNKNOWN = "unknown"
_CUBOID = "cuboid"


class Ledger:
    """Takes note of rows, and tells at the end what does not go together."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.taxonomies: Mapping[str, frozenset[str]] | None = None
        self._ids = array("q")
        self._segmentations = array("q")
        self._categories = array("q")
        self._items = array("q")
        self._scenes = array("q")
        self._images = array("q")
        self._owners = array("q")
        self._cuboids = array("q")
        self._kinds: dict[Scope, dict[str, int]] = {scope: {} for scope in get_args(Scope)}
        self._strings: dict[Scope, dict[str, set[int] | None]] = {scope: {} for scope in get_args(Scope)}
        self._local = self._remote = False
        self._single = 0
        self._mixed: Any = None

    # ------------------------------------------------------------------ rows

    def payload(self, row: Any, where: Place, *, predicted: bool) -> None:
        """Take note of a payload."""
        reference = row.reference_id
        kind = type(row)
        owner = hash(reference)
        if not self._owners or self._owners[-1] != owner:
            self._owners.append(owner)
        if kind is wire.CategoryRow or kind is wire.MultiCategoryRow:
            self._category(row, where, predicted=predicted)
        elif kind is wire.MaskRow:
            self._segmentations.append(hash((predicted, reference)))
            for segment in row.annotations:
                if segment.metadata:
                    self._metadata("annotations", segment.metadata, where)
        else:
            identity = row.annotation_id
            if identity is None:
                identity = default_id(row)
            self._ids.append(hash((predicted, reference, identity)))
            if kind is wire.CuboidRow:
                self._cuboids.append(owner)
        if row.metadata:
            self._metadata("annotations", row.metadata, where)

    def _category(self, row: Any, where: Place, *, predicted: bool) -> None:
        name = row.taxonomy_name
        self._categories.append(hash((predicted, row.reference_id, name)))
        if name is None:
            return
        known = (self.taxonomies or {}).get(name)
        if known is None:
            self.problems.add(Code.TAXONOMY_UNLISTED, taxonomy_name(name), where(".taxonomy_name"))
            return
        for label in row.labels if type(row) is wire.MultiCategoryRow else (row.label,):
            if label not in known:
                self.problems.add(Code.TAXONOMY_LABEL, taxonomy_name(name), where(".label"))

    def item(
        self, reference: str, metadata: Any, url: str | None, where: Place, *, pointcloud: bool, inside: bool
    ) -> None:
        """Take note of an item; ``inside`` a scene."""
        key = hash(reference)
        self._items.append(key)
        if not pointcloud:
            self._images.append(key)
        if type(metadata) is dict:
            self._metadata("items", metadata, where)
        elif metadata is not None:
            self.problems.add(Code.BAD_PAYLOAD, "metadata that is no object", where(".metadata"))
        if inside:
            return
        self._single += 1
        if url is not None:
            if is_remote(url):
                self._remote = True
            else:
                self._local = True
            if self._local and self._remote and self._mixed is None:
                self._mixed = where()

    def scene(self, reference: str, metadata: Any, where: Place) -> None:
        """Take note of a scene."""
        self._scenes.append(hash(reference))
        if type(metadata) is dict:
            self._metadata("scenes", metadata, where)

    def _metadata(self, scope: Scope, metadata: Mapping[str, Any], where: Place) -> None:
        kinds, strings = self._kinds[scope], self._strings[scope]
        for key, value in metadata.items():
            kind = type(value)
            if kind is str:
                flag = _STRINGS
            elif kind is int or kind is float:
                flag = _NUMBERS
            else:
                continue
            before = kinds.get(key, 0)
            if not before & flag and key != KEY:
                kinds[key] = before | flag
                if before:
                    self.problems.add(Code.METADATA_TYPE, f"'{key}'", where(f".metadata.{key}"))
            if flag == _STRINGS:
                seen = strings.get(key)
                if seen is None:
                    if key in strings or len(strings) >= KEYS:
                        continue
                    seen = strings[key] = set()
                seen.add(hash(value))
                if len(seen) > DISTINCT:
                    strings[key] = None
                    self.problems.add(Code.MANY_STRINGS, f"'{key}' of {scope}", where(f".metadata.{key}"))

    # ------------------------------------------------------------------ the end

    def close(self) -> None:
        """All rows were seen: tell what concerns the whole."""
        if self._mixed is not None:
            self.problems.add(Code.MIXED_LOCATIONS, "", self._mixed)
        if self._single and self._scenes:
            self.problems.add(Code.ITEMS_AND_SCENES, "")

    def repeated(self) -> dict[str, set[int]]:
        """What stands twice or more, or names what is not there, by rule: hashes of the names."""
        found = {
            Code.DUPLICATE_ANNOTATION_ID.value: _twice(self._ids),
            Code.SEVERAL_SEGMENTATIONS.value: _twice(self._segmentations),
            Code.SEVERAL_CATEGORIES.value: _twice(self._categories),
            "items": _twice(self._items),
            "scenes": _twice(self._scenes),
            _CUBOID: _both(self._cuboids, self._images),
        }
        if self._items:
            found[_UNKNOWN] = _missing(self._owners, (self._items, self._scenes))
        return {rule: names for rule, names in found.items() if names}

    def naming(self, names: Mapping[str, set[int]], problems: Problems) -> Ledger:
        """A ledger for a second look at the same rows, which tells the place of each of ``names``."""
        return _Naming(names, problems)


class _Naming(Ledger):
    """Tells rows whose names are wanted: those that stand twice from the second time on."""

    def __init__(self, names: Mapping[str, set[int]], problems: Problems) -> None:
        super().__init__(problems)
        self.names = names
        self._seen: set[tuple[str, int]] = set()

    def payload(self, row: Any, where: Place, *, predicted: bool) -> None:
        """Tell of a payload."""
        reference, kind = row.reference_id, type(row)
        owner = hash(reference)
        if owner in self.names.get(_UNKNOWN, ()):
            self.problems.add(Code.UNKNOWN_ITEM, "", where(".reference_id"))
        if kind is wire.CategoryRow or kind is wire.MultiCategoryRow:
            key = hash((predicted, reference, row.taxonomy_name))
            self._tell(Code.SEVERAL_CATEGORIES, taxonomy_name(row.taxonomy_name), key, where)
        elif kind is wire.MaskRow:
            self._tell(Code.SEVERAL_SEGMENTATIONS, "", hash((predicted, reference)), where)
        else:
            identity = row.annotation_id
            if identity is None:
                identity = default_id(row)
            self._tell(Code.DUPLICATE_ANNOTATION_ID, "", hash((predicted, reference, identity)), where)
            if kind is wire.CuboidRow and owner in self.names.get(_CUBOID, ()):
                self.problems.add(Code.CUBOID_ON_IMAGE, "", where())

    def item(
        self, reference: str, metadata: Any, url: str | None, where: Place, *, pointcloud: bool, inside: bool
    ) -> None:
        """Tell of an item."""
        self._tell(Code.DUPLICATE_REFERENCE_ID, "items", hash(reference), where, "items")

    def scene(self, reference: str, metadata: Any, where: Place) -> None:
        """Tell of a scene."""
        self._tell(Code.DUPLICATE_REFERENCE_ID, "scenes", hash(reference), where, "scenes")

    def _tell(self, code: Code, what: str, key: int, where: Place, rule: str | None = None) -> None:
        rule = code.value if rule is None else rule
        if key not in self.names.get(rule, ()):
            return
        if (rule, key) in self._seen:
            self.problems.add(code, what, where())
        self._seen.add((rule, key))


def _twice(hashes: array[int]) -> set[int]:
    """Those that occur more than once."""
    if len(hashes) < 2:
        return set()
    ordered = np.sort(np.frombuffer(hashes, np.int64))
    return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())


def _both(some: array[int], others: array[int]) -> set[int]:
    if not some or not others:
        return set()
    return set(np.intersect1d(np.frombuffer(some, np.int64), np.frombuffer(others, np.int64)).tolist())


def _missing(wanted: array[int], there: Iterable[array[int]]) -> set[int]:
    """Those of ``wanted`` that are in none of the others."""
    rest = np.unique(np.frombuffer(wanted, np.int64)) if wanted else np.empty(0, np.int64)
    for one in there:
        if one:
            rest = np.setdiff1d(rest, np.frombuffer(one, np.int64))
    return set(rest.tolist())

"""Annotation XML the quick way: files of a data set are alike, so each is matched with what came before.

The structure of an object, and of the rest of a file, is parsed once (by :mod:`xml`) and turned into a
regular expression that takes the texts out in one go; a file that matches needs no parser. What is out of the
ordinary (comments, entities, attributes, an unusual order for the first time) goes to the parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.formats.voc.xml import MAX_BYTES, Document, Value, parse

_TEXT: Final = r"[^<>&\x00-\x08\x0b\x0c\x0e-\x1f]*+"
"""A text that says what it looks like. (A ">" alone does too, but not behind "]]".)"""
_SPACE: Final = r"[ \t\r\n]*+"
_ODD = re.compile(r"&|<!|\]\]>|[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NAME = re.compile(_TEXT).fullmatch
_DECLARATION = re.compile(r"\s*<\?xml[^>?]*\?>")
_TAG = re.compile(r"<[^>]*>")
_PLAIN = re.compile(r"</?([A-Za-z_][\w.-]*)>", re.ASCII)
_MOST_TAGS: Final = 400
_KEPT: Final = 64
"""Structures remembered: a data set has a handful."""
_ALIKE: Final = 256
"""Heads remembered that others repeat but for <filename>: a data set has one for each size of image."""


class Template:
    """A structure seen before.

    Attributes:
        match: matches a stretch of that structure, its groups the texts of the leaves.
        leaves: the path of each leaf, as "bndbox/xmin".
        facts: what a caller has worked out about the structure.
        key: all its tags.
    """

    __slots__ = ("_pattern", "_shape", "_split", "facts", "key", "leaves", "match")

    def __init__(self, tags: list[str], stretch: Value) -> None:
        self._pattern, self.leaves = _pattern(tags)
        self.key = "".join(tags)
        self.match = re.compile(self._pattern).fullmatch
        self._shape = stretch
        self._split: Callable[[str], list[str]] | None = None
        self.facts: Any = None

    def split(self, text: str) -> list[str]:
        """What stands before the first object of that structure, its texts, what stands before the next, ..."""
        if self._split is None:
            self._split = re.compile(f"<object>{self._pattern}</object>").split
        return self._split(text)

    def value(self, texts: Sequence[str]) -> Value:
        """The value, of this structure, with other texts."""
        return _filled(self._shape, iter(texts))


def _filled(shape: Value, texts: Any) -> Value:
    if isinstance(shape, dict):
        return {name: _filled(value, texts) for name, value in shape.items()}
    return next(texts).strip()


def _pattern(tags: list[str]) -> tuple[str, list[str]]:
    """The regular expression of a stretch with these tags, and the paths of its leaves.

    What it matches needs no parser: no text is written otherwise than it is meant. What is repeated is possessive:
    where the tag behind it is another, giving back would not help.
    """
    pieces = [_SPACE]
    leaves: list[str] = []
    path: list[str] = []
    leaf = False
    for tag in tags:
        opening = not tag.startswith("</")
        if opening:
            path.append(tag[1:-1])
        elif leaf:
            leaves.append("/".join(path))
            pieces[-1] = f"({_TEXT})"
        pieces += [re.escape(tag), _SPACE]
        leaf = opening
        if not opening:
            path.pop()
    return "".join(pieces), leaves


class Alike:
    """A head that others repeat but for <filename>, which is text ``at`` of its template's."""

    __slots__ = ("at", "facts", "head", "texts")

    def __init__(self, head: Template, texts: tuple[str, ...], at: int) -> None:
        self.head = head
        self.texts = texts
        self.at = at
        self.facts: Any = None


class Quick:
    """A file that was read without a parser: its structures and their texts.

    ``alike`` is the same object for all files with the same head but for <filename>; its ``facts`` are for a caller.
    """

    __slots__ = ("alike", "head", "head_texts", "objects")

    def __init__(
        self,
        head: Template,
        head_texts: tuple[str, ...],
        objects: list[tuple[Template, Sequence[str]]],
        alike: Alike | None = None,
    ) -> None:
        self.head = head
        self.head_texts = head_texts
        self.objects = objects
        self.alike = alike

    def document(self) -> Document:
        """The same as :func:`xml.parse` gives."""
        fields = self.head.value(self.head_texts)
        return Document(fields, [template.value(texts) for template, texts in self.objects])


class Reader:
    """Reads file after file, remembering structures."""

    def __init__(self) -> None:
        self._heads: list[Template] = []
        self._objects: list[Template] = []
        self._refused: set[str] = set()
        self._alike: Template | None = None  # the structure of all objects in the file before
        self._alike_heads: dict[tuple[str, str], Alike] = {}

    def __reduce__(self) -> Any:
        return Reader, ()

    def quick(self, data: bytes) -> Quick | None:
        """The file's texts, or None where it has to be parsed."""
        if len(data) > MAX_BYTES:
            return None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        if "?" in text and "<?" in text:
            declared = _DECLARATION.match(text)
            if declared is None or text[: declared.end()].lstrip() != text[: declared.end()]:
                return None
            said = declared.group().lower()
            if "encoding" in said and "utf-8" not in said:
                return None
            text = text[declared.end() :]
            if "<?" in text:
                return None
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        alike = self._alike
        if alike is not None:
            pieces = alike.split(text)
            step = len(alike.leaves) + 1
            head = text if len(pieces) == 1 else "".join(pieces[::step])
            if "<object>" not in head:
                return self._headed(head, [(alike, pieces[i : i + step - 1]) for i in range(1, len(pieces), step)])
            self._alike = None
        head, *stretches = text.split("<object>")
        objects: list[tuple[Template, Sequence[str]]] = []
        for stretch in stretches:
            inner, closing, tail = stretch.partition("</object>")
            if not closing:
                return None
            head += tail
            for i, template in enumerate(self._objects):
                found = template.match(inner)
                if found is not None:
                    if i > 2:
                        self._objects.insert(0, self._objects.pop(i))
                    break
            else:
                if _ODD.search(text):
                    return None
                made = self._learn(inner, self._objects, whole=False)
                if made is None or (found := made.match(inner)) is None:
                    return None
                template = made
            objects.append((template, found.groups()))
        if objects and all(template is objects[0][0] for template, _ in objects):
            self._alike = objects[0][0]
        return self._headed(head, objects)

    def _headed(self, head: str, objects: list[tuple[Template, Sequence[str]]]) -> Quick | None:
        """The file whose text without its objects is ``head``."""
        before, _, rest = head.partition("<filename>")
        name, _, after = rest.partition("</filename>")
        key = before, after
        alike = self._alike_heads.get(key)
        if alike is not None and _NAME(name):
            texts = alike.texts
            return Quick(alike.head, (*texts[: alike.at], name, *texts[alike.at + 1 :]), objects, alike)
        for i, template in enumerate(self._heads):
            found = template.match(head)
            if found is not None:
                if i > 2:
                    self._heads.insert(0, self._heads.pop(i))
                alike = self._like(template, found.groups(), key)
                return Quick(template, found.groups(), objects, alike)
        if _ODD.search(head):
            return None
        made = self._learn(head, self._heads, whole=True)
        if made is None or (found := made.match(head)) is None:
            return None
        return Quick(made, found.groups(), objects, self._like(made, found.groups(), key))

    def _like(self, template: Template, texts: tuple[str, ...], key: tuple[str, str]) -> Alike | None:
        """Remember a head, if there is one <filename>, and room."""
        leaves = template.leaves
        if len(self._alike_heads) >= _ALIKE or [leaf for leaf in leaves if leaf.endswith("filename")] != ["filename"]:
            return None
        made = self._alike_heads[key] = Alike(template, texts, leaves.index("filename"))
        return made

    def _learn(self, stretch: str, known: list[Template], *, whole: bool) -> Template | None:
        """The structure of a stretch, if it is one to remember: plain tags, no name twice, no mixed text."""
        tags = _TAG.findall(stretch)
        key = "".join(tags)
        if key in self._refused or not (4 if whole else 2) <= len(tags) <= _MOST_TAGS:
            return None
        if any(template.key == key for template in known):
            return None  # a text is not as its structure wants it
        made: Template | None = None
        if all(_PLAIN.fullmatch(tag) for tag in tags):
            try:
                document = parse((key if whole else f"<annotation>{key}</annotation>").encode())
            except ConvertError:
                document = None
            # Texts beside children, and names that repeat, are for the parser.
            if document is not None and not document.objects and _simple(document.fields):
                if not whole:
                    made = Template(tags, document.fields)
                elif tags[0] == "<annotation>" and tags[-1] == "</annotation>":
                    made = _Whole(tags, document.fields)
        if made is None:
            if len(self._refused) < 1000:
                self._refused.add(key)
            return None
        known.insert(0, made)
        del known[_KEPT:]
        return made


class _Whole(Template):
    """The structure of a file without its objects."""

    __slots__ = ()

    def __init__(self, tags: list[str], fields: dict[str, Value]) -> None:
        super().__init__(tags, fields)
        self.leaves = [path.removeprefix("annotation/") for path in self.leaves]
        if not fields:
            self.leaves = []


def _simple(fields: dict[str, Value]) -> bool:
    """Whether no name repeats, so that leaves and texts correspond one to one."""
    return all(
        not isinstance(value, list) and (not isinstance(value, dict) or _simple(value))
        for value in fields.values()
    )

"""Imports run one way: formats -> converters/<format> -> pipeline -> cli."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from nucleus_convert.converters import registry

ROOT = Path(__file__).resolve().parent.parent
US = "nucleus_convert"
FORMATS = frozenset(registry.FORMATS)
FOR_FORMAT_FILES = {"errors", "report"}  # of the core, all that formats/ may know
# They drive the formats, and formats never drive them.
CONDUCTORS = {"pipeline", "fit", "verify", "registry", "maskfiles", "looks", "opening", "preview", "showing"}

MODULES = {
    path: ".".join((US, *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for top in ("converters", "formats")
    for path in sorted((ROOT / top).rglob("*.py"))
} | {ROOT / "__init__.py": US, ROOT / "__main__.py": f"{US}.__main__", ROOT / "cli.py": f"{US}.cli"}
KNOWN = frozenset(MODULES.values())


def our_imports(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """Modules of ours that a file imports, anywhere in it, as (line, dotted name)."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                upper = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*upper, *([node.module] if node.module else [])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            targets = [target if target in KNOWN else base for target in inner]
        else:
            continue
        for target in targets:
            if target == US or target.startswith(f"{US}."):
                yield node.lineno, target


def allowed(name: str, target: str) -> bool:
    """Whether a module may import another."""
    here, there = name.split(".")[1:], target.split(".")[1:]
    if there[:1] == ["cli"]:
        return here == ["__main__"]
    if here[:1] == ["__main__"]:
        return False
    if not there:
        return here in (["cli"], ["converters", "pipeline"])  # the version, and nothing else
    if here == [] or here == ["cli"]:
        return there[0] == "converters" and (len(there) == 1 or there[1] not in FORMATS)
    if here[0] == "formats":
        return there[0] == "formats" or (
            there[0] == "converters" and there[1:2] != [] and there[1] in FOR_FORMAT_FILES
        )
    return allowed_in_converters(here[1] if here[1:] else "", there)


def allowed_in_converters(who: str, there: list[str]) -> bool:
    """The rules for converters/: formats know their files and the core, the core knows no format."""
    if there[0] == "formats":
        return who in FORMATS
    whom = there[1] if there[1:] else ""
    if whom in FORMATS:
        return who == whom  # a format that has become a folder may import its own parts
    if whom in CONDUCTORS:
        return who in CONDUCTORS
    return True


@pytest.mark.parametrize("path", MODULES, ids=MODULES.values())
def test_imports_run_one_way(path: Path) -> None:
    name = MODULES[path]
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for line, target in our_imports(path, name)
        if not allowed(name, target)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("formats.coco", "converters.model", False),
        ("formats.coco", "converters.errors", True),
        ("formats.coco", "formats.rows", True),
        ("formats.coco", "converters", False),
        ("converters.coco", "formats.coco", True),
        ("converters.coco", "converters.model", True),
        ("converters.coco", "converters.nucleus", False),
        ("converters.coco", "converters.fit", False),
        ("converters.model", "formats.coco", False),
        ("converters.pipeline", "converters.registry", True),
        ("converters.pipeline", "converters.coco", False),
        ("converters.report", "cli", False),
        ("cli", "converters.pipeline", True),
        ("cli", "converters.coco", False),
        ("cli", "formats.coco", False),
        ("__main__", "cli", True),
    ],
)
def test_the_rules(name: str, target: str, expected: bool) -> None:
    assert allowed(f"{US}.{name}", f"{US}.{target}") is expected


def test_relative_imports_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "coco.py"
    path.write_text(
        "from . import model\nfrom ..formats import coco\ndef f():\n    from .report import Report\n"
    )
    found = list(our_imports(path, f"{US}.converters.coco"))
    assert [line for line, _ in found] == [1, 2, 4]
    assert all(target.startswith((f"{US}.converters", f"{US}.formats")) for _, target in found)

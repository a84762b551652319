"""The root directory is the package: what ships, and what must not."""

from __future__ import annotations

import configparser
import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUB_PACKAGES = ("converters", "formats")
ROOT_MODULES = {"__init__.py", "__main__.py", "cli.py"}
BUILD_SCRIPT = "setup.py"  # which the wheel must not hold
COMPILED = (".so", ".pyd")


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(value: str) -> list[str]:
    return [line.strip() for line in value.splitlines() if line.strip() and not line.strip().startswith("#")]


def package_folders() -> set[Path]:
    """Every folder below the sub-packages that holds Python files."""
    return {path.parent for top in SUB_PACKAGES for path in (ROOT / top).rglob("*.py")}


def test_setup_cfg_lists_every_package() -> None:
    expected = {"nucleus_convert"}
    for folder in package_folders():
        expected.add(".".join(("nucleus_convert", *folder.relative_to(ROOT).parts)))
    listed = lines(setup_cfg()["options"]["packages"])
    assert sorted(listed) == sorted(expected)


def test_every_package_has_an_init() -> None:
    assert [str(folder) for folder in package_folders() if not (folder / "__init__.py").is_file()] == []


def test_no_stray_module_at_the_root() -> None:
    # Any other module here would be shipped inside nucleus_convert.
    assert {path.name for path in ROOT.glob("*.py")} == ROOT_MODULES | {BUILD_SCRIPT}


def test_no_metadata_in_pyproject() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "project" not in document, "metadata lives in setup.cfg; setuptools crashes if it is in both"


def expected_files() -> set[str]:
    """What the wheel holds besides its dist-info."""
    files = [ROOT / name for name in (*ROOT_MODULES, "py.typed")]
    unshipped = {".c", *COMPILED}
    for top in SUB_PACKAGES:
        files += [
            path
            for path in (ROOT / top).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in unshipped
        ]
    return {f"nucleus_convert/{path.relative_to(ROOT).as_posix()}" for path in files}


def copy_of_the_checkout(target: Path) -> Path:
    """What a build may look at, put elsewhere: building and the checkout must not disturb each other."""
    # benchmarks/data can be large, and a module that is compiled already would be taken as it is
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "instances-*.json")
    target.mkdir()
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, target)
    for name in (*SUB_PACKAGES, "tests", "examples", "benchmarks", "fixtures", "docs"):  # most must not ship
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=unwanted)
    return target


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("built"))


def built(folder: Path) -> Path:
    """The wheel that pip makes of a copy of the checkout."""
    source = copy_of_the_checkout(folder / "checkout")
    out = folder / "wheel"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(out),
    ]
    if new_setuptools():
        command.append("--no-build-isolation")  # otherwise pip fetches setuptools, which needs the network
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("*.whl")
    return made


def new_setuptools() -> bool:
    """Whether this environment can build without fetching anything."""
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0]) >= 77
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.mark.packaging
def test_wheel_holds_exactly_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = {name for name in names if ".dist-info/" in name}
    compiled = {name for name in names if name.endswith(COMPILED)}
    assert sorted(names - info - compiled) == sorted(expected_files())
    built = (
        "converters/_pointtext",
        "converters/_runs",
        "converters/_saving",
        "formats/_rings",
        "formats/cvat/_scan",
        "formats/nucleus/_lines",
    )
    assert {name.partition(".")[0] for name in compiled} <= {f"nucleus_convert/{name}" for name in built}
    assert {name.split(".dist-info/")[1] for name in info} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "top_level.txt",
    }


@pytest.mark.packaging
def test_it_installs_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with zipfile.ZipFile(built(tmp_path)) as archive:
        names = archive.namelist()
    assert "nucleus_convert/formats/rings.py" in names
    assert [name for name in names if name.endswith(COMPILED)] == []


@pytest.mark.packaging
def test_wheel_installs_one_name_and_two_commands(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name)
        top_level = archive.read(f"{info}/top_level.txt").decode()
        commands = archive.read(f"{info}/entry_points.txt").decode()
        licence = archive.read(f"{info}/licenses/LICENSE").decode()
    assert top_level.split() == ["nucleus_convert"]
    assert lines(commands) == [
        "[console_scripts]",
        "convert = nucleus_convert.cli:main",
        "nucleus-convert = nucleus_convert.cli:main",
    ]
    assert "Apache License" in licence

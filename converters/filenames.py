"""File names made from what label files call things: valid everywhere, never outside their folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

_CLEAN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^/]*")
_LONGEST = 100


def safe_path(name: str) -> str:
    """A relative path for a thing of that name: its folders are kept, what is wrong in it replaced.

    Where anything had to be replaced a hash of the whole name is added, so that different names stay
    different.
    """
    steps = re.split(r"[/\\]", _SCHEME.sub("", name))
    kept = [_safe_step(step) for step in steps if step not in ("", ".", "..")]
    if kept and kept == [step for step in steps if step]:
        return "/".join(kept)
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()
    return "/".join([*kept[:-1], f"{kept[-1]}-{digest}" if kept else digest])


def _safe_step(step: str) -> str:
    if (
        len(step) <= _LONGEST
        and _CLEAN.fullmatch(step)
        and not step.endswith((".", " "))
        and not _DEVICE.fullmatch(step)
    ):
        return step
    shown = re.sub(r"[^A-Za-z0-9_.-]+", "_", step).strip("._-")[:_LONGEST] or "_"
    return f"_{shown}" if _DEVICE.fullmatch(shown) else shown


def without_suffix(name: str) -> str:
    """The name without what stands behind its last dot, if that looks like a picture's suffix."""
    return re.sub(r"(?<=[^/\\])\.(jpe?g|png|bmp|tiff?|webp|gif|jp2|ppm)$", "", name, flags=re.IGNORECASE)


class Names:
    """Gives out names that differ on every file system, whether or not that tells capitals apart."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, path: str) -> str:
        """``path``, or the first of ``path-2``, ``path-3``, … that is not given out; before the suffix."""
        pure = PurePosixPath(path)
        result, count = path, 1
        while result.casefold() in self._taken:
            count += 1
            result = str(pure.with_name(f"{pure.stem}-{count}{pure.suffix}"))
        self._taken.add(result.casefold())
        return result


def inside(root: Path, name: str) -> Path | None:
    """The file of that name in a folder, or None if the name leads out of it."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if not name or "\0" in name or pure.is_absolute() or ".." in pure.parts or ":" in name:
        return None
    path = root / pure
    return path if path.resolve().is_relative_to(root.resolve()) else None

"""What items, mask files and images are called: reference ids, safe file names, locations."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath, PureWindowsPath

import msgspec

from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.model import Item
from nucleus_convert.converters.nucleus.metadata import FORMAT, REFERENCE
from nucleus_convert.converters.nucleus.options import ReferenceId

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SAFE = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_HASHED = re.compile(r".*-[0-9a-f]{10}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_LONGEST = 120
_PREDICTED = ".predicted"


def plain_reference_id(item: Item, how: ReferenceId) -> str:
    """The reference id that the option gives an item, without regard to subsets."""
    path = item.path
    if how == "id" or not path:
        return str(item.id)
    if how == "path":
        return path
    name = re.split(r"[/\\]", path.rstrip("/\\"))[-1] or path
    if how == "name":
        return name
    if item.kind == "pointcloud":
        return name  # whose image has its stem
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name


def reference_id(item: Item, how: ReferenceId, *, several: bool) -> str:
    """What an item is called: by the option, but by its own reference id if it came from Nucleus with one.

    With ``several`` subsets in the data set, a path is told apart by its subset.
    """
    own = item.extras.get(FORMAT)
    if own is not None and how == "path" and own.get(REFERENCE):
        return str(own[REFERENCE])
    reference = plain_reference_id(item, how)
    if several and how != "id" and item.path and item.subset:
        return with_subset(reference, item.subset)
    return reference or str(item.id) or "item"


def cloud_reference(item: Item, how: ReferenceId, *, several: bool) -> str | None:
    """The reference id of the point cloud that cuboids of an image's objects stand in; None where there is none."""
    if item.kind != "image" or item.scene is None or item.scene.cloud is None:
        return None
    cloud = item.scene.cloud
    return reference_id(Item(id=cloud, kind="pointcloud", path=cloud, subset=item.subset), how, several=several)


def with_subset(reference: str, subset: str) -> str:
    """``reference`` with the subset before it, unless it begins with it already."""
    return reference if reference.startswith(f"{subset}/") else f"{subset}/{reference}"


def mask_name(reference: str, *, predicted: bool) -> str:
    """The name of an item's mask picture: different for each item, and a plain file name on every system.

    Where the reference id is not one itself, what is wrong is replaced and a hash of the id added. Capitals
    are wrong in this sense, since some systems do not tell them apart.
    """
    clean = (
        len(reference) <= _LONGEST
        and _SAFE.fullmatch(reference) is not None
        and not reference.endswith((".", _PREDICTED))
        and _HASHED.fullmatch(reference) is None
        and _DEVICE.fullmatch(reference) is None
    )
    stem = reference
    if not clean:
        shown = re.sub(r"[^A-Za-z0-9_.-]+", "_", reference).strip("._-")[:_LONGEST] or "item"
        if _DEVICE.fullmatch(shown.lower()):
            shown = f"_{shown}"
        digest = hashlib.blake2b(reference.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()
        stem = f"{shown}-{digest}"
    return f"{stem}{_PREDICTED if predicted else ''}.png"


class Location(msgspec.Struct, frozen=True):
    """Where an item's file is, and whether that is relative (so only right from one folder)."""

    url: str
    relative: bool


def location(path: str, root: str | None, item: Item) -> Location:
    """Where the file at ``path`` is, seen from ``root`` (a folder or URL prefix) if one is given.

    Raises:
        UnrepresentableError: the path leads out of the root.
    """
    if _SCHEME.match(path):
        return Location(path, False)
    absolute = path.startswith(("/", "\\")) or bool(PureWindowsPath(path).drive)
    if root is None:
        return Location(path, not absolute)
    where = Where(item=str(item.id))
    if absolute:
        inside = path.startswith(root.rstrip("/\\") + "/") and ".." not in PurePosixPath(path).parts
        if inside:
            return Location(path, False)
        raise UnrepresentableError(
            f"image location '{path:.200}' is absolute and not in the image root '{root}'",
            where,
            hint="leave --image-root out, or make the paths in the source relative",
        )
    steps = path.replace("\\", "/")
    depth = 0
    for step in steps.split("/"):
        depth += -1 if step == ".." else step not in ("", ".")
        if depth < 0:
            raise UnrepresentableError(
                f"image location '{path:.200}' leads out of the image root",
                where,
                hint="mend the path in the source, or leave --image-root out",
            )
    joined = f"{root.rstrip('/')}/{steps.removeprefix('./')}" if root else steps
    remote = bool(_SCHEME.match(root))
    return Location(joined, not remote and not root.startswith("/") and not PureWindowsPath(root).drive)

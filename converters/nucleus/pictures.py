"""Mask payloads' pictures: found, checked, and taken apart into one mask for each segment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.converters.model import Mask
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.nucleus import wire


class Pictures(msgspec.Struct, frozen=True):
    """Where mask pictures may be. Picklable.

    Nothing outside of these folders and the current one is opened, whatever a payload says.
    """

    folder: Path
    given: Path | None = None

    def find(self, url: str) -> Path | None:
        """The file a ``mask_url`` stands for, if it is here: in the given folder or beside the payloads."""
        steps = [step for step in url.replace("\\", "/").split("/") if step not in ("", ".")]
        if not steps or ".." in steps or "\0" in url:
            return None
        name = steps[-1]
        tries: list[Path] = []
        if self.given is not None:
            tries += [self.given / name, self.given.joinpath(*steps[-2:])]
        if wire.MASKS in steps[:-1]:
            last = len(steps) - 1 - steps[::-1].index(wire.MASKS)
            tries.append(self.folder.joinpath(*steps[last:]))
        tries.append(self.folder / wire.MASKS / name)
        if not is_remote(url):
            local = Path(url)
            if local.is_absolute():
                roots = [self.folder.resolve(), Path.cwd(), *([self.given.resolve()] if self.given else [])]
                tries += [local] if any(local.is_relative_to(root) for root in roots) else []
            else:
                tries += [self.folder.joinpath(*steps), Path.cwd().joinpath(*steps)]
            tries.append(self.folder / name)
        return next((path for path in tries if _is_file(path)), None)

    def read(
        self,
        row: wire.MaskRow,
        place: Callable[[str], Where],
        size: tuple[int | None, int | None],
        report: Report,
    ) -> dict[int, Mask]:
        """Masks by the position of their segment; none where the picture is remote and not here.

        Raises:
            ReadError: a local picture is missing, or no PNG.
            SchemaError: it is not of the item's size, or not a picture of one number for each pixel.
        """
        path = self.find(row.mask_url)
        if path is None:
            if is_remote(row.mask_url):
                return {}
            raise ReadError(
                f"mask file '{row.mask_url:.200}' is not here",
                place(".mask_url"),
                hint="give the folder that it is in with --mask-folder",
            )
        from nucleus_convert.converters import indexmap, masks, png  # heavy, and many sets have no masks

        try:
            pixels = png.decode(path.read_bytes(), name=str(path))
        except (MalformedFileError, SchemaError) as error:
            raise type(error)(f"mask picture: {error.message} ({path.name})", place(".mask_url"), error.hint) from error
        except OSError as error:
            raise ReadError(f"mask file cannot be read ({error.strerror})", place(".mask_url")) from error
        height, width = pixels.shape
        if (size[0] is not None and size[0] != height) or (size[1] is not None and size[1] != width):
            raise SchemaError(
                f"mask picture is {height} x {width} (height x width), its image {size[0]} x {size[1]}",
                place(".mask_url"),
                hint="the mask must be of its image's size",
            )
        runs = indexmap.split(pixels, skip=())
        empty = masks.encode_counts([height * width])
        found: dict[int, Mask] = {}
        named: set[int] = {0}
        for i, segment in enumerate(row.annotations):
            index = _index(segment.index)
            if index is None:
                continue
            named.add(index)
            there: Any = runs.get(index)
            counts = empty if there is None else masks.encode_counts(there)
            found[i] = Mask(counts, height, width)
        strange = sorted(set(runs) - named)
        if strange:
            report.add(
                Code.REJECTED,
                "value in a mask picture that no segment names",
                format="nucleus",
                where=msgspec.structs.replace(place(".annotations"), annotation=f"value {strange[0]}"),
                count=len(strange),
            )
        return found


def is_remote(url: str) -> bool:
    """Whether a location is on the network."""
    return url.lower().startswith(wire.REMOTE)


def _index(value: int | str | None) -> int | None:
    if type(value) is int:
        return value
    if type(value) is str and value.strip().isascii() and value.strip().isdigit():
        return int(value)
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False

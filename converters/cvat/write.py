"""Records to CVAT XML: images as they come, a video once its frames have been sorted into tracks."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from nucleus_convert.converters.cvat import heading
from nucleus_convert.converters.cvat.draw import Seen
from nucleus_convert.converters.cvat.encode import Encoder
from nucleus_convert.converters.cvat.items import subsets_of
from nucleus_convert.converters.cvat.meta import FORMAT, Task
from nucleus_convert.converters.cvat.objects import Objects
from nucleus_convert.converters.cvat.options import WriteOptions
from nucleus_convert.converters.cvat.spec import SPEC
from nucleus_convert.converters.cvat.spool import Spool
from nucleus_convert.converters.labelset import LabelSet, Step
from nucleus_convert.converters.model import Header
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Feature, Spec, Target
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.cvat import start_tag

FILE = "annotations.xml"


def kind_of(header: Header, options: WriteOptions) -> str:
    """Which of CVAT's formats to write: "images" or "video"."""
    if options.kind != "auto":
        return options.kind
    videos = [scene for scene in header.scenes if scene.kind == "video"]
    if len(videos) == len(header.scenes) == 1:
        return "video"
    own = header.extras.get(FORMAT, {}).get("kind")
    return "video" if own == "video" and videos and len(videos) == len(header.scenes) else "images"


def narrowed(labels: LabelSet, *, options: WriteOptions, report: Report) -> tuple[Spec, Step | None]:
    """What this target holds: a video has tracks and is a scene."""
    if kind_of(labels.header, options) == "images":
        return SPEC, None
    more = {Feature.TRACK, Feature.SCENE}
    return msgspec.structs.replace(SPEC, holds=SPEC.holds | more, carries=SPEC.carries - more), None


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write one XML file: ``target.path`` itself, or ``annotations.xml`` in that folder.

    Raises:
        UnrepresentableError: frames of a video cannot be put in an order.
    """
    path = target.path / FILE if target.path.is_dir() or not target.path.suffix else target.path
    path.parent.mkdir(parents=True, exist_ok=True)
    header = labels.header
    names = frozenset(label.name for label in header.labels)
    objects = Objects(header, names, taxonomy=heading.TAXONOMY, predictions=False)
    if kind_of(header, options) == "video":
        with Spool(path, header, objects) as spool:
            frames = encode_chunks(labels, spool.encoder(), report, workers=target.workers, progress=target.progress)
            for chunk in frames:
                spool.add(chunk)
            spool.write(target.final.stem)
        return [path]
    images = Encoder(header, objects, subsets_of(heading.tasks_of(header)))
    seen = Seen()
    count = 0
    body = path.with_name(path.name + ".body")
    with body.open("wb") as file:
        for encoded in encode_chunks(labels, images, report, workers=target.workers, progress=target.progress):
            lines = []
            for image in encoded.images:
                said = image.attributes
                if "id" not in said:
                    said = {"id": str(count), **said}
                lines += ["  ", start_tag("image", said), "\n", image.body, "  </image>\n"]
                count += 1
            seen.merge(encoded.seen)
            file.write("".join(lines).encode())
    with path.open("wb") as file:
        task = Task(name=target.final.stem, mode="annotation", stop=count - 1)
        file.write(heading.head(header, seen, heading.meta_of(header, [task]), "images", {}))
        with body.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
        file.write(b"</annotations>\n")
    body.unlink()
    return [path]

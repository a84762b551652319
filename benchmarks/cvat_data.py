"""CVAT XML for benchmarks, the same each time for a seed: a data set of images, and a video with tracks.

Of the shapes of an images file half are boxes (one in ten turned), four in ten polygons of 30 corners on average, most
of the bytes; the rest polylines, points, ellipses, skeletons of five joints, 2-D cuboids, and two in a thousand masks:
each becomes a picture of the image's size, which takes as long as a hundred boxes. Three in ten have attributes, one
image in twenty a tag, one in twenty nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

LABELS = ("person", "car", "dog", "chair", "bottle", "cat", "bird", "train")
JOINTS = ("head", "left hand", "right hand", "left foot", "right foot")
COLORS = ("red", "green", "blue", "white")
SIZES = ((1920, 1080), (1280, 720), (640, 480))

_ATTRIBUTES = """<attributes>
<attribute><name>color</name><mutable>False</mutable><input_type>select</input_type><default_value>red</default_value>\
<values>red
green
blue
white</values></attribute>
<attribute><name>parked</name><mutable>True</mutable><input_type>checkbox</input_type>\
<default_value>false</default_value><values>false</values></attribute>
<attribute><name>age</name><mutable>False</mutable><input_type>number</input_type><default_value>1</default_value>\
<values>0
120
1</values></attribute>
</attributes>"""
_ANY = "<label><name>{name}</name><color>#33ddff</color><type>any</type>{attributes}</label>\n"
_JOINT = (
    "<label><name>{name}</name><color>#c06060</color><type>points</type><attributes></attributes>"
    "<parent>body</parent></label>\n"
)
_EDGES = ((1, 2), (1, 3), (1, 4), (1, 5))


def _labels() -> str:
    circles = "".join(
        f'&lt;circle r="1.5" cx="{20 * i}" cy="{10 * i}" data-type="element node" data-element-id="{i}" '
        f'data-node-id="{i}" data-label-name="{name}"&gt;&lt;/circle&gt;'
        for i, name in enumerate(JOINTS, 1)
    )
    lines = "".join(
        f'&lt;line x1="0" y1="0" x2="1" y2="1" data-type="edge" data-node-from="{a}" data-node-to="{b}"&gt;'
        "&lt;/line&gt;"
        for a, b in _EDGES
    )
    text = "".join(_ANY.format(name=name, attributes=_ATTRIBUTES) for name in LABELS)
    text += (
        "<label><name>body</name><color>#fa3253</color><type>skeleton</type><attributes></attributes>"
        f"<svg>{lines}{circles}</svg></label>\n"
    )
    return text + "".join(_JOINT.format(name=name) for name in JOINTS)


def _head(size: int, mode: str, tail: str = "") -> str:
    # Without the XML declaration that CVAT writes: labelformat cannot read a file with one.
    return f"""<annotations>
<version>1.1</version>
<meta><task><id>1</id><name>benchmark</name><size>{size}</size><mode>{mode}</mode><overlap>0</overlap><bugtracker/>
<created>2026-01-01 00:00:00+00:00</created><updated>2026-01-01 00:00:00+00:00</updated><subset>default</subset>
<start_frame>0</start_frame><stop_frame>{size - 1}</stop_frame><frame_filter></frame_filter>
<segments><segment><id>1</id><start>0</start><stop>{size - 1}</stop><url>http://localhost/1</url></segment></segments>
<owner><username>a</username><email>a@example.com</email></owner><assignee></assignee>
<labels>
{_labels()}</labels>{tail}
</task><dumped>2026-01-01 00:00:00+00:00</dumped></meta>
"""


def images(path: Path, count: int, seed: int = 6) -> int:
    """Write an images file of ``count`` images with seven shapes on average; return the number of shapes and tags."""
    rng = random.Random(seed)
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(_head(count, "annotation"))
        for number in range(count):
            width, height = rng.choice(SIZES)
            lines = [f'  <image id="{number}" name="{_name(number)}" width="{width}" height="{height}">']
            shapes = 0 if rng.random() < 0.05 else 1 + min(30, int(rng.expovariate(1 / 6.9)))
            lines += [_shape(rng, width, height) for _ in range(shapes)]
            if rng.random() < 0.05:
                lines.append(f'    <tag label="{rng.choice(LABELS)}" source="manual">\n    </tag>')
                shapes += 1
            lines.append("  </image>\n")
            file.write("\n".join(lines))
            written += shapes
        file.write("</annotations>\n")
    return written


def pictures(folder: Path, count: int) -> None:
    """Make empty files of the names of the images."""
    for number in range(count):
        path = folder / _name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _name(number: int) -> str:
    return f"part{number // 1000:03d}/img_{number:07d}.jpg"


def _shape(rng: random.Random, width: int, height: int) -> str:
    source = rng.choice(("manual", "manual", "auto"))
    head = f'label="{rng.choice(LABELS)}" source="{source}" occluded="{rng.randint(0, 1)}"'
    tail = 'z_order="0"' if rng.random() < 0.95 else f'z_order="{rng.randint(1, 5)}" group_id="{rng.randint(1, 9)}"'
    cx, cy = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
    rx, ry = rng.uniform(5, 0.2 * width), rng.uniform(5, 0.2 * height)
    draw = rng.random()
    inside = "\n    "
    if draw < 0.5:
        turn = f' rotation="{rng.uniform(1, 359):.2f}"' if draw < 0.05 else ""
        tag = "box"
        geometry = f'xtl="{cx - rx:.2f}" ytl="{cy - ry:.2f}" xbr="{cx + rx:.2f}" ybr="{cy + ry:.2f}"{turn}'
    elif draw < 0.91:
        tag, geometry = "polygon", f'points="{_ring(rng, cx, cy, rx, ry, 3 + int(rng.expovariate(1 / 28)))}"'
    elif draw < 0.93:
        tag, geometry = "polyline", f'points="{_ring(rng, cx, cy, rx, ry, rng.randint(2, 30))}"'
    elif draw < 0.955:
        tag, geometry = "points", f'points="{_ring(rng, cx, cy, rx, ry, rng.randint(1, 5))}"'
    elif draw < 0.975:
        turn = f' rotation="{rng.uniform(1, 359):.2f}"' if draw < 0.965 else ""
        tag, geometry = "ellipse", f'cx="{cx:.2f}" cy="{cy:.2f}" rx="{rx:.2f}" ry="{ry:.2f}"{turn}'
    elif draw < 0.977:
        tag, geometry = "mask", _mask(int(cx - rx), int(cy - ry), int(rx) + 1, int(ry) + 1)
    elif draw < 0.99:
        joints = "".join(
            f'\n      <points label="{joint}" source="manual" outside="{int(rng.random() < 0.1)}" '
            f'occluded="{int(rng.random() < 0.2)}" points="{rng.uniform(0, width):.2f},{rng.uniform(0, height):.2f}">'
            "\n      </points>"
            for joint in JOINTS
        )
        return f'    <skeleton label="body" source="manual" {tail}>{joints}\n    </skeleton>'
    else:
        corners = ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")
        tag = "cuboid"
        geometry = " ".join(
            f'x{corner}="{cx + rng.uniform(-rx, rx):.2f}" y{corner}="{cy + rng.uniform(-ry, ry):.2f}"'
            for corner in corners
        )
    if rng.random() < 0.3:
        inside = (
            f'\n      <attribute name="color">{rng.choice(COLORS)}</attribute>'
            f'\n      <attribute name="parked">{rng.choice(("true", "false"))}</attribute>'
            f'\n      <attribute name="age">{rng.randint(0, 120)}</attribute>\n    '
        )
    return f"    <{tag} {head} {geometry} {tail}>{inside}</{tag}>"


def _ring(rng: random.Random, cx: float, cy: float, rx: float, ry: float, count: int) -> str:
    step = 2 * math.pi / count
    wave = rng.uniform(0.1, 0.5)
    return ";".join(
        f"{cx + rx * math.cos(i * step) * (1 - wave * (i % 2)):.2f},"
        f"{cy + ry * math.sin(i * step) * (1 - wave * (i % 2)):.2f}"
        for i in range(count)
    )


def _mask(left: int, top: int, half_width: int, half_height: int) -> str:
    """A lying diamond, row by row, in the rectangle of twice the half sizes."""
    width, height = 2 * half_width, 2 * half_height
    runs: list[int] = []
    for y in range(height):
        reach = max(1, round(half_width * (1 - abs(y + 0.5 - half_height) / half_height)))
        left_gap = half_width - reach
        if runs:
            runs[-1] += left_gap
        else:
            runs.append(left_gap)
        if runs[-1] == 0 and len(runs) > 1:
            runs.pop()
            runs[-1] += 2 * reach
        else:
            runs.append(2 * reach)
        runs.append(left_gap)
    if runs[-1] == 0:
        runs.pop()
    text = ", ".join(map(str, runs))
    return f'rle="{text}" left="{left}" top="{top}" width="{width}" height="{height}"'


def video(path: Path, frames: int, tracks: int, *, dense: bool = False, seed: int = 6) -> int:
    """Write a video file: boxes with a keyframe every 20 frames, every 25th hidden; return the shapes written."""
    rng = random.Random(seed)
    size = "<original_size><width>1920</width><height>1080</height></original_size><source>benchmark.mp4</source>"
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(_head(frames, "interpolation", size))
        for number in range(tracks):
            file.write(f'  <track id="{number}" label="{rng.choice(LABELS)}" source="manual">\n')
            for text in _moving(rng, frames, dense=dense):
                file.write(text)
                written += 1
            file.write("  </track>\n")
        file.write("</annotations>\n")
    return written


def _moving(rng: random.Random, frames: int, *, dense: bool) -> Iterator[str]:
    start = rng.randrange(0, max(1, frames // 4))
    before = [rng.uniform(0, 1600), rng.uniform(0, 900), 100.0, 80.0]
    outside = False
    for key in range(start, frames, 20):
        after = [value + rng.uniform(-30, 30) for value in before[:2]] + before[2:]
        outside = rng.random() < 0.04
        for frame in range(key, min(key + 20, frames) if dense and not outside else key + 1):
            share = (frame - key) / 20
            x, y, width, height = (a + (b - a) * share for a, b in zip(before, after, strict=True))
            yield (
                f'    <box frame="{frame}" keyframe="{int(frame == key)}" outside="{int(outside)}" occluded="0" '
                f'xtl="{x:.2f}" ytl="{y:.2f}" xbr="{x + width:.2f}" ybr="{y + height:.2f}" z_order="0">\n    </box>\n'
            )
        before = after

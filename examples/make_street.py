"""Make the KITTI example ``examples/street`` and the picture of it, ``examples/street.png``.

Run ``python examples/make_street.py``; it writes beside itself and gives the same data every time. A street of boxes
is scanned ray by ray and drawn face by face; its labels are the boxes, in the words of KITTI's object benchmark. The
picture shows what became of them in Nucleus: it is drawn from the files that ``convert kitti2nucleus`` writes, the
cuboids from above among the points of the JSON cloud, and their corners through ``camera_params`` in the image.
"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

import nucleus_convert
from nucleus_convert.converters import frames, pointclouds, pointtext
from nucleus_convert.formats.kitti import calib

HERE = Path(__file__).resolve().parent
STREET = HERE / "street"
PICTURE = HERE / "street.png"

Array: TypeAlias = npt.NDArray[np.float64]
Colour: TypeAlias = tuple[int, int, int]

WIDTH, HEIGHT = 1242, 375
P2 = np.array([[718.0, 0, 607.5, 45.2], [0, 718.0, 178.4, -0.11], [0, 0, 1, 0.0047]])
R0 = ((0.99998, 0.0063, 0), (-0.0063, 0.99998, 0), (0, 0, 1))
CAMERA = (0.27, 0.02, -0.08)  # of the camera, in the lidar's frame, metres
GROUND = -1.73  # of the street, in the lidar's frame

SKY, ROAD, VERGE, FRONT = (196, 214, 232), (108, 110, 116), (150, 158, 130), (255, 255, 255)
COLOURS: dict[str, Colour] = {
    "Car": (58, 108, 176),
    "Van": (120, 88, 160),
    "Truck": (160, 110, 60),
    "Pedestrian": (196, 72, 72),
    "Cyclist": (46, 140, 110),
}


class Thing(NamedTuple):
    """A box on the street: centre of its bottom and sizes in metres, yaw in radians; labels start with a capital."""

    label: str
    x: float
    y: float
    length: float
    width: float
    height: float
    yaw: float
    reflectance: float
    occluded: int = 0


THINGS = [
    Thing("Car", 9.5, -3.1, 4.1, 1.7, 1.5, 0.03, 0.52),
    Thing("Car", 17.0, 2.9, 4.4, 1.8, 1.5, math.pi - 0.05, 0.35),
    Thing("Car", 31.0, 3.1, 3.9, 1.7, 1.6, math.pi, 0.61, 1),
    Thing("Van", 24.0, -3.4, 5.0, 2.0, 2.1, 0.0, 0.44),
    Thing("Truck", 44.0, -0.4, 8.5, 2.5, 3.2, 0.08, 0.28),
    Thing("Car", 36.5, -7.6, 4.0, 1.7, 1.5, math.pi / 2 + 0.2, 0.7, 1),
    Thing("Pedestrian", 12.5, -6.3, 0.7, 0.6, 1.8, 2.1, 0.2),
    Thing("Pedestrian", 14.5, 6.2, 0.6, 0.6, 1.7, -0.6, 0.24),
    Thing("Cyclist", 13.2, 0.6, 1.8, 0.6, 1.75, 0.35, 0.31),
    Thing("house", 26.0, -14.5, 40.0, 8.0, 9.0, 0.0, 0.15),
    Thing("house", 22.0, 15.0, 34.0, 9.0, 7.0, 0.02, 0.18),
    Thing("house", 62.0, 13.0, 20.0, 10.0, 11.0, 0.1, 0.12),
    Thing("wall", -9.0, 9.0, 26.0, 0.4, 2.0, 0.05, 0.3),
    Thing("wall", -12.0, -9.5, 30.0, 0.4, 2.4, -0.03, 0.3),
]
NAMED = [thing for thing in THINGS if thing.label in COLOURS]


# --- the data set ----------------------------------------------------------------------------------------


def calibration() -> calib.Calibration:
    """A camera near the lidar, turned by a fraction of a degree about each axis."""
    turn = frames.NOMINAL
    for axis, angle in ((2, 0.006), (1, 0.003), (0, -0.002)):
        about = np.eye(3)
        first, second = (i for i in range(3) if i != axis)
        about[first, first] = about[second, second] = math.cos(angle)
        about[first, second], about[second, first] = -math.sin(angle), math.sin(angle)
        turn = turn @ about
    tr = np.round(np.column_stack([turn, -turn @ np.array(CAMERA)]), 9)
    return calib.made({2: rows(P2)}, R0, rows(tr))


def rows(matrix: Array) -> calib.Matrix:
    """A matrix as rows of numbers."""
    return tuple(tuple(map(float, row)) for row in matrix)


def table(things: list[Thing]) -> tuple[Array, Array, Array]:
    """Centres, length-width-height and yaws in the lidar's frame."""
    numbers = np.array([(t.x, t.y, GROUND + t.height / 2, t.length, t.width, t.height, t.yaw) for t in things])
    return numbers[:, :3], numbers[:, 3:6], numbers[:, 6]


def scan() -> pointtext.Points:
    """What a lidar at the origin sees of ground and things: x, y, z to the millimetre, reflectance."""
    noise = np.random.default_rng(7)
    azimuths, rings = np.meshgrid(
        np.radians(np.concatenate([np.arange(-55, 55, 0.45), np.arange(55, 305, 2.5)])),
        np.radians(np.concatenate([np.linspace(-22, -8, 12), np.linspace(-7.5, 2.5, 22)])),
    )
    rays = np.stack(
        [np.cos(rings) * np.cos(azimuths), np.cos(rings) * np.sin(azimuths), np.sin(rings)], axis=-1
    ).reshape(-1, 3)
    with np.errstate(divide="ignore"):
        reach = np.where(rays[:, 2] < 0, GROUND / rays[:, 2], 1e9)
    reflectance = np.where(np.abs(rays[:, 1] * reach) < 7.5, 0.22, 0.38)
    for thing in THINGS:
        distance = hit(rays, thing)
        nearer = distance < reach
        reach[nearer], reflectance[nearer] = distance[nearer], thing.reflectance
    seen = reach < 80
    points = rays[seen] * (reach[seen] + noise.normal(0, 0.012, int(seen.sum())))[:, np.newaxis]
    shine = np.clip(reflectance[seen] + noise.normal(0, 0.04, len(points)), 0, 0.99)
    return np.column_stack([np.round(points, 3), np.round(shine, 2)]).astype(np.float32)


def hit(rays: Array, thing: Thing) -> Array:
    """How far along each ray from the origin a box begins; infinity where the ray passes it."""
    cos, sin = math.cos(thing.yaw), math.sin(thing.yaw)
    into = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    start = into @ np.array([-thing.x, -thing.y, -GROUND])
    local = rays @ into.T
    half = np.array([thing.length / 2, thing.width / 2, thing.height / 2])
    start[2] -= half[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = np.sort([(-half - start) / local, (half - start) / local], axis=0)
    enter, leave = near.max(axis=1), far.min(axis=1)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)


def photograph(mounting: frames.Rig) -> Image.Image:
    """The street as the camera sees it: faces in flat colours, the farthest first."""
    image = Image.new("RGB", (WIDTH, HEIGHT), SKY)
    draw = ImageDraw.Draw(image)

    def face(corners: Array, colour: Colour) -> None:
        camera = nearer_part(frames.moved(corners, mounting.rect_from_lidar))
        if len(camera) > 2:
            draw.polygon([tuple(pixel) for pixel in frames.project(camera, P2)[0].tolist()], fill=colour)

    for half, colour in ((200.0, VERGE), (7.5, ROAD)):
        face(np.array([(-5, half, GROUND), (200, half, GROUND), (200, -half, GROUND), (-5, -half, GROUND)]), colour)
    for k in range(14):
        x = 4.0 + 5 * k
        face(np.array([(x, 0.08, GROUND), (x + 2, 0.08, GROUND), (x + 2, -0.08, GROUND), (x, -0.08, GROUND)]), FRONT)
    for thing in sorted(THINGS, key=lambda one: -math.hypot(one.x, one.y)):
        (corners,) = frames.lidar_corners(*table([thing]))
        red, green, blue = COLOURS.get(thing.label, (172, 160, 148))
        sides = [(corners[[i, j, 4 + j, 4 + i]], shade) for i, j, shade in
                 ((0, 1, 1.0), (1, 2, 0.8), (2, 3, 0.9), (3, 0, 0.72))]  # fmt: skip
        sides.append((corners[4:], 1.15))
        for side, shade in sorted(sides, key=lambda one: -float(np.linalg.norm(one[0].mean(axis=0)))):
            face(side, (tinted(red, shade), tinted(green, shade), tinted(blue, shade)))
    return image


def tinted(value: int, shade: float) -> int:
    """A channel of a face's colour, a little paler, by how the light falls on it."""
    return round(min(255, (25 + 0.9 * value) * shade))


def nearer_part(camera: Array) -> Array:
    """The part of a polygon in the rect frame that lies before the camera."""
    limit, kept = 0.3, []
    for before, here in zip(np.roll(camera, 1, axis=0), camera, strict=True):
        if (before[2] > limit) != (here[2] > limit):
            kept.append(before + (here - before) * (limit - before[2]) / (here[2] - before[2]))
        if here[2] > limit:
            kept.append(here)
    return np.array(kept).reshape(-1, 3)


def label_rows(mounting: frames.Rig) -> list[str]:
    """The things in the image as label rows, two decimals."""
    location, hwl, rotation = frames.camera_boxes(*table(NAMED), mounting)
    corners = frames.camera_corners(location, hwl, rotation)
    boxes = frames.image_boxes(corners, P2, (WIDTH, HEIGHT))
    whole = frames.image_boxes(corners, P2)
    alphas = frames.alpha(location, rotation)
    lines = []
    for k, thing in enumerate(NAMED):
        left, top, right, bottom = boxes[k]
        area = (whole[k][2] - whole[k][0]) * (whole[k][3] - whole[k][1])
        truncated = 1 - (right - left) * (bottom - top) / area
        numbers = [alphas[k], *boxes[k], *hwl[k], *location[k], rotation[k]]
        lines.append(f"{thing.label} {truncated:.2f} {thing.occluded} {' '.join(f'{n:.2f}' for n in numbers)}\n")
    lines.append("DontCare -1 -1 -10 560.21 150.02 590.77 178.33 -1 -1 -1 -1000 -1000 -1000 -10\n")
    return lines


def make(target: Path) -> None:
    """Write the data set, in KITTI's layout."""
    said = calibration()
    mounting = frames.rig(said.r0(), said.tr())
    folders = {name: target / "training" / name for name in ("image_2", "velodyne", "calib", "label_2")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    photograph(mounting).quantize(64, dither=Image.Dither.NONE).save(folders["image_2"] / "000000.png", optimize=True)
    pointclouds.write_bin(scan(), folders["velodyne"] / "000000.bin")
    (folders["calib"] / "000000.txt").write_text(calib.dump(said), encoding="utf-8")
    (folders["label_2"] / "000000.txt").write_text("".join(label_rows(mounting)), encoding="utf-8")


# --- the picture -----------------------------------------------------------------------------------------

SCALE = 2  # drawn this much larger, then shrunk
TOP = 460  # height of the view from above
METRE = 17.5  # pixels
ORIGIN = (96, TOP / 2)  # of the lidar, in the view from above


class Frame(NamedTuple):
    """A frame as Nucleus's files say it: points, cuboids (label and numbers), 2-D boxes, the camera."""

    points: Array
    cuboids: list[tuple[str, Array, Array, float]]
    boxes: list[tuple[str, dict[str, float]]]
    camera: frames.CameraPose


def load(folder: Path) -> Frame:
    """Read what was converted, knowing nothing of KITTI."""
    (scene,) = map(json.loads, (folder / "scenes.jsonl").read_text(encoding="utf-8").splitlines())
    (sensors,) = scene["frames"]
    lidar = next(item for item in sensors.values() if item["type"] == "pointcloud")
    params = next(item["camera_params"] for item in sensors.values() if item["type"] == "image")
    cloud = json.loads((folder / lidar["url"]).read_bytes())
    found = list(map(json.loads, (folder / "annotations.jsonl").read_text(encoding="utf-8").splitlines()))
    position, heading = params["position"], params["heading"]
    return Frame(
        np.array([(point["x"], point["y"], point["z"], point["i"]) for point in cloud["points"]]),
        [
            (
                one["label"],
                np.array([one["geometry"]["position"][axis] for axis in "xyz"]),
                np.array([one["geometry"]["dimensions"][axis] for axis in "xyz"]),
                one["geometry"]["yaw"],
            )
            for one in found
            if one["type"] == "cuboid"
        ],
        [(one["label"], one["geometry"]) for one in found if one["type"] == "box"],
        frames.CameraPose(
            (position["x"], position["y"], position["z"]),
            (heading["w"], heading["x"], heading["y"], heading["z"]),
            *(params[key] for key in ("fx", "fy", "cx", "cy")),
        ),
    )


def draw_picture(frame: Frame, photo: Image.Image) -> Image.Image:
    """The image with its cuboids and boxes, and below it the cloud from above with its cuboids."""
    picture = Image.new("RGB", (WIDTH * SCALE, (HEIGHT + TOP) * SCALE))
    picture.paste(photo.convert("RGB").resize((WIDTH * SCALE, HEIGHT * SCALE), Image.Resampling.LANCZOS), (0, 0))
    draw = ImageDraw.Draw(picture)
    for label, box in frame.boxes:
        left, top = box["x"] * SCALE, box["y"] * SCALE
        right, bottom = left + box["width"] * SCALE, top + box["height"] * SCALE
        draw.rectangle((left, top, right, bottom), outline=FRONT if label in COLOURS else (90, 90, 90), width=SCALE)
    for label, centre, size, yaw in frame.cuboids:
        wire(draw, frames.lidar_corners(centre, size, yaw), frame.camera, COLOURS[label])
    picture.paste(from_above(frame), (0, HEIGHT * SCALE))
    return picture.resize((WIDTH, HEIGHT + TOP), Image.Resampling.LANCZOS)


def wire(draw: ImageDraw.ImageDraw, corners: Array, camera: frames.CameraPose, colour: Colour) -> None:
    """The edges of a cuboid through the camera, its front face crossed."""
    pixels, depth = frames.see(corners, camera)
    if (depth <= 0.1).any():
        return
    at = [(float(x) * SCALE, float(y) * SCALE) for x, y in pixels]
    bright = tuple(min(255, value + 90) for value in colour)
    for i in range(4):
        j = (i + 1) % 4
        for a, b in ((i, j), (4 + i, 4 + j), (i, 4 + i)):
            draw.line((at[a], at[b]), fill=(255, 236, 90), width=SCALE + 1)
    for a, b in ((0, 5), (1, 4)):  # corners 0, 1, 4 and 5 are in front
        draw.line((at[a], at[b]), fill=bright, width=SCALE)


def above(x: float, y: float) -> tuple[float, float]:
    """A place in the view from above: x to the right, y up."""
    return (ORIGIN[0] + x * METRE) * SCALE, (ORIGIN[1] - y * METRE) * SCALE


def from_above(frame: Frame) -> Image.Image:
    """Points by height, rings of ten metres, the camera's view and the cuboids with their headings."""
    view = Image.new("RGB", (WIDTH * SCALE, TOP * SCALE), (18, 22, 28))
    draw, font = ImageDraw.Draw(view), ImageFont.load_default(13 * SCALE)
    for ring in range(10, 90, 10):
        (x0, y0), (x1, y1) = above(-ring, ring), above(ring, -ring)
        draw.ellipse((x0, y0, x1, y1), outline=(40, 46, 54), width=SCALE)
        draw.text(above(ring, -12.6), f"{ring} m", fill=(96, 104, 116), font=font, anchor="mb")
    rotation = frames.rotation(frame.camera.heading)
    for edge in (0, WIDTH):
        ray = rotation @ np.array([(edge - frame.camera.cx) / frame.camera.fx, 0, 1])
        x, y, _ = frame.camera.position
        draw.line((above(x, y), above(x + 90 * ray[0], y + 90 * ray[1])), fill=(70, 80, 60), width=SCALE)
    for x, y, z, shine in frame.points.tolist():
        px, py = above(x, y)
        share = min(max((z - GROUND) / 3, 0), 1)
        light = 0.55 + 0.45 * min(shine / 0.6, 1)
        tone = tuple(round(light * (low + (high - low) * share)) for low, high in ((86, 255), (140, 214), (210, 120)))
        draw.rectangle((px, py, px + SCALE, py + SCALE), fill=tone)
    for label, centre, size, yaw in frame.cuboids:
        corners = [above(x, y) for x, y, _ in frames.lidar_corners(centre, size, yaw)[:4].tolist()]
        colour = tuple(min(255, value + 70) for value in COLOURS[label])
        draw.polygon(corners, outline=colour, width=SCALE + 1)
        x, y, _ = centre.tolist()
        ahead = size[0] / 2 + 1.0
        tip = above(x + ahead * math.cos(yaw), y + ahead * math.sin(yaw))
        draw.line((above(x, y), tip), fill=colour, width=SCALE + 1)
        top = min(tip[1], *(corner[1] for corner in corners))
        draw.text((above(x, y)[0], top - 4 * SCALE), label, fill=colour, font=font, anchor="mb")
    draw.polygon([above(0.9, 0), above(-0.6, 0.6), above(-0.6, -0.6)], fill=(255, 236, 90))
    return view


def main() -> None:
    """Write the data set and the picture."""
    make(STREET)
    with tempfile.TemporaryDirectory() as folder:
        nucleus_convert.convert(STREET, Path(folder) / "nucleus", source="kitti")
        frame = load(Path(folder) / "nucleus")
    with Image.open(STREET / "training" / "image_2" / "000000.png") as photo:
        draw_picture(frame, photo).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()

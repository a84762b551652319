"""Draw the example data set ``examples/park`` and write its COCO annotations.

Run ``python examples/make_example.py``; it writes beside itself and gives the same annotations every time.
The pictures are drawn from the very outlines that are annotated, so the labels fit to a fraction of a pixel.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as mask_api

HERE = Path(__file__).resolve().parent
PARK = HERE / "park"
SCALE = 4  # pictures are drawn this much larger, then shrunk, for smooth edges

Point = tuple[float, float]
Ring = list[Point]
Colour = tuple[int, int, int]
Rle = dict[str, Any]

KEYPOINTS = ["head", "neck", "left_hand", "right_hand", "hip", "left_foot", "right_foot"]
SKELETON = [[1, 2], [2, 3], [2, 4], [2, 5], [5, 6], [5, 7]]
CATEGORIES: list[dict[str, Any]] = [
    {"id": 1, "name": "person", "supercategory": "person", "keypoints": KEYPOINTS, "skeleton": SKELETON},
    {"id": 3, "name": "car", "supercategory": "vehicle"},
    {"id": 16, "name": "bird", "supercategory": "animal"},
    {"id": 18, "name": "dog", "supercategory": "animal"},
    {"id": 37, "name": "ball", "supercategory": "sports"},
    {"id": 38, "name": "kite", "supercategory": "sports"},
    {"id": 62, "name": "tyre", "supercategory": "playground"},
]
SKIN: Colour = (224, 176, 140)
INK: Colour = (52, 54, 62)


# --- outlines: every function gives rings in picture coordinates ------------------------------------------


def circle(cx: float, cy: float, radius: float, count: int = 20) -> Ring:
    """A circle as a ring."""
    turns = [2 * math.pi * k / count for k in range(count)]
    return [(cx + radius * math.cos(t), cy + radius * math.sin(t)) for t in turns]


def clip(ring: Ring, axis: int, limit: float, *, keep_below: bool) -> Ring:
    """The part of a ring on one side of a vertical (axis 0) or horizontal (axis 1) line."""
    kept: Ring = []
    for before, here in zip([ring[-1], *ring[:-1]], ring, strict=True):
        was_in = (before[axis] <= limit) == keep_below
        is_in = (here[axis] <= limit) == keep_below
        if was_in != is_in:
            share = (limit - before[axis]) / (here[axis] - before[axis])
            other = before[1 - axis] + share * (here[1 - axis] - before[1 - axis])
            kept.append((limit, other) if axis == 0 else (other, limit))
        if is_in:
            kept.append(here)
    return kept


def inside(ring: Ring, width: float, height: float) -> Ring:
    """The part of a ring inside the picture."""
    for axis, limit in ((0, width), (1, height)):
        ring = clip(ring, axis, limit, keep_below=True) if ring else ring
        ring = clip(ring, axis, 0.0, keep_below=False) if ring else ring
    return ring


def placed(shape: Sequence[Point], x: float, y: float, size: float, *, flip: bool = False) -> Ring:
    """A shape drawn in units, y up from the ground, put at (x, y) in the picture."""
    sign = -1 if flip else 1
    return [(x + sign * size * px, y - size * py) for px, py in shape]


CAR: list[Point] = [
    (-1.00, 0.14), (-1.00, 0.40), (-0.93, 0.47), (-0.62, 0.52), (-0.36, 0.78), (0.26, 0.80), (0.52, 0.54),
    (0.88, 0.48), (1.00, 0.38), (1.00, 0.14), (0.76, 0.13), (0.72, 0.05), (0.64, 0.00), (0.54, 0.00),
    (0.46, 0.05), (0.42, 0.13), (-0.40, 0.13), (-0.44, 0.05), (-0.52, 0.00), (-0.62, 0.00), (-0.70, 0.05),
    (-0.74, 0.13),
]  # fmt: skip
CAR_WINDOWS: list[list[Point]] = [
    [(-0.53, 0.53), (-0.32, 0.74), (-0.07, 0.745), (-0.07, 0.53)],
    [(0.0, 0.53), (0.0, 0.745), (0.22, 0.75), (0.42, 0.53)],
]
DOG: list[Point] = [
    (-0.98, 0.72), (-0.94, 0.82), (-0.80, 0.88), (-0.74, 1.02), (-0.64, 0.98), (-0.56, 0.86), (-0.48, 0.70),
    (0.50, 0.68), (0.62, 0.74), (0.84, 1.00), (0.92, 0.96), (0.76, 0.66), (0.64, 0.50), (0.66, 0.24),
    (0.70, 0.02), (0.54, 0.00), (0.52, 0.22), (0.42, 0.36), (-0.26, 0.34), (-0.30, 0.02), (-0.46, 0.00),
    (-0.46, 0.36), (-0.60, 0.54), (-0.70, 0.66),
]  # fmt: skip
BIRD: list[Point] = [
    (-1.00, 0.62), (-0.45, 0.80), (0.0, 0.30), (0.45, 0.80), (1.00, 0.62), (0.40, 0.40), (0.10, 0.0),
    (-0.10, 0.0), (-0.40, 0.40),
]  # fmt: skip


@dataclass
class Pose:
    """Where a person's joints are, in heights of the person above the ground, and how thick the limbs are."""

    left_hand: Point = (0.20, 0.44)
    right_hand: Point = (-0.20, 0.44)
    left_foot: Point = (0.10, 0.02)
    right_foot: Point = (-0.10, 0.02)


WALK = Pose((0.19, 0.48), (-0.21, 0.52), (0.15, 0.02), (-0.13, 0.04))
WAVE = Pose((0.30, 0.98), (-0.18, 0.44))
CHEER = Pose((0.28, 1.00), (-0.28, 1.00), (0.13, 0.02), (-0.13, 0.02))
THROW = Pose((0.36, 0.72), (-0.26, 0.56), (0.18, 0.02), (-0.12, 0.02))


def limb(start: Point, tip: Point, half: float, *, outer: int) -> list[Point]:
    """Down one side of a limb, round its tip and up the other; ``outer`` is the sign of the first side."""
    length = math.hypot(tip[0] - start[0], tip[1] - start[1])
    ux, uy = (tip[0] - start[0]) / length, (tip[1] - start[1]) / length
    nx, ny = -uy * outer * half, ux * outer * half
    return [
        (start[0] + nx, start[1] + ny),
        (tip[0] + nx, tip[1] + ny),
        (tip[0] + ux * half, tip[1] + uy * half),
        (tip[0] - nx, tip[1] - ny),
    ]


def person_outline(pose: Pose) -> list[Point]:
    """One simple ring round a figure facing us (its left hand is at the right of the picture)."""
    head = [
        (0.085 * math.sin(t), 0.91 + 0.09 * math.cos(t))
        for t in (math.radians(a) for a in range(-155, 156, 31))
    ]
    left_arm = [(0.05, 0.80), *limb((0.125, 0.755), pose.left_hand, 0.032, outer=1), (0.105, 0.70)]
    left_leg = [(0.105, 0.46), *limb((0.06, 0.44), pose.left_foot, 0.042, outer=1)[1:]]
    right_leg = [
        (-x, y)
        for x, y in [(0.105, 0.46), *limb((0.06, 0.44), mirrored(pose.right_foot), 0.042, outer=1)[1:]]
    ]
    arm = [(0.05, 0.80), *limb((0.125, 0.755), mirrored(pose.right_hand), 0.032, outer=1), (0.105, 0.70)]
    right_arm = [(-x, y) for x, y in arm]
    return [*head, *left_arm, *left_leg, (0.0, 0.40), *right_leg[::-1], *right_arm[::-1]]


def mirrored(point: Point) -> Point:
    """A point of the right side seen as one of the left side."""
    return (-point[0], point[1])


# --- a picture and what is on it ---------------------------------------------------------------------------


@dataclass
class Scene:
    """One picture in the making: a canvas SCALE times too large, and the annotations so far."""

    width: int
    height: int
    name: str
    rng: random.Random
    extra: dict[str, Any] = field(default_factory=dict)
    objects: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.picture = Image.new("RGB", (self.width * SCALE, self.height * SCALE), (255, 255, 255))
        self.pen = ImageDraw.Draw(self.picture)

    def fill(self, ring: Iterable[Point], colour: Colour) -> None:
        """Fill a ring; pillow counts pixel centres, our coordinates count pixel edges."""
        points = [(x * SCALE - 0.5, y * SCALE - 0.5) for x, y in ring]
        if len(points) >= 3:
            self.pen.polygon(points, fill=colour)

    def bar(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill an upright rectangle."""
        self.fill([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    # background

    def park(self, horizon: float, *, sky: Colour = (176, 216, 240), grass: Colour = (128, 184, 100)) -> None:
        """Sky, clouds, hills and grass."""
        w, h = self.width, self.height
        self.bar(0, 0, w, horizon, sky)
        for _ in range(3):
            cx, cy = self.rng.uniform(0, w), self.rng.uniform(0.08, 0.4) * horizon
            size = self.rng.uniform(0.05, 0.09) * w
            for dx, scale in ((-1.1, 0.6), (0, 1.0), (1.1, 0.7), (0.5, 0.8)):
                self.fill(
                    [(x, cy + (y - cy) * 0.55) for x, y in circle(cx + dx * size, cy, size * scale)],
                    (244, 249, 252),
                )
        for shade in (24, 10):
            cx = self.rng.uniform(0, w)
            hill = [
                (x, horizon - 0.12 * h * math.exp(-(((x - cx) / (0.35 * w)) ** 2)) * (shade / 24 + 0.4))
                for x in range(0, w + 9, 8)
            ]
            self.fill(
                [(0, h), *hill, (w, h)],
                (grass[0] - 20 - shade // 2, grass[1] - 12 - shade // 2, grass[2] + shade),
            )
        self.bar(0, horizon, w, h, grass)
        for _ in range(w // 8):
            x, y = self.rng.uniform(0, w), self.rng.uniform(horizon + 4, h)
            self.fill([(x, y), (x + 1.2, y - 5), (x + 2.4, y)], (grass[0] - 18, grass[1] - 14, grass[2] - 16))

    def street(self, top: float, bottom: float) -> None:
        """A road with a pavement above and a dashed line."""
        self.bar(0, top - 12, self.width, top, (196, 192, 184))
        self.bar(0, top, self.width, bottom, (112, 114, 120))
        for x in range(10, self.width, 60):
            self.bar(x, (top + bottom) / 2 - 1.5, x + 30, (top + bottom) / 2 + 1.5, (232, 230, 214))

    def houses(self, ground: float) -> None:
        """A row of house fronts."""
        x = -10.0
        while x < self.width:
            w, h = self.rng.uniform(54, 84), self.rng.uniform(0.28, 0.42) * self.height
            colour = self.rng.choice([(214, 170, 146), (222, 204, 164), (178, 190, 204), (206, 186, 196)])
            self.bar(x, ground - h, x + w, ground, colour)
            self.fill(
                [(x - 3, ground - h), (x + w / 2, ground - h - 16), (x + w + 3, ground - h)], (150, 92, 80)
            )
            for row in range(2):
                for column in range(3):
                    left, up = x + 8 + column * (w - 16) / 3, ground - h + 10 + row * h * 0.42
                    self.bar(left, up, left + 10, up + 14, (238, 240, 226))
            x += w + self.rng.uniform(0, 10)

    def tree(self, x: float, ground: float, height: float, *, trunk: float = 0.05) -> None:
        """A tree; not annotated, but things may stand behind it."""
        self.bar(x - trunk * height, ground - height * 0.6, x + trunk * height, ground, (116, 84, 60))
        for dx, dy, r in ((-0.2, 0.62, 0.2), (0.2, 0.62, 0.2), (0, 0.66, 0.22), (0, 0.82, 0.19)):
            green = self.rng.randint(-8, 8)
            self.fill(
                circle(x + dx * height, ground - dy * height, r * height), (70 + green, 132 + green, 72)
            )

    def post(self, x: float, ground: float, height: float, half: float) -> None:
        """A lamp post."""
        self.bar(x - half, ground - height, x + half, ground, (76, 84, 92))
        self.bar(x - 2 * half, ground - 4, x + 2 * half, ground, (60, 66, 74))
        self.fill(circle(x, ground - height, 2.2 * half), (250, 232, 160))

    # objects: draw, then annotate

    def add(self, category: int, rings: Sequence[Ring], **more: Any) -> dict[str, Any]:
        """Note an object outlined by one ring or by several parts."""
        kept = [ring for ring in (inside(list(r), self.width, self.height) for r in rings) if len(ring) >= 3]
        note = {"category_id": category, "rings": kept, **more}
        self.objects.append(note)
        return note

    def car(
        self,
        x: float,
        ground: float,
        size: float,
        colour: Colour,
        *,
        flip: bool = False,
        behind: tuple[float, float] | None = None,
        **more: Any,
    ) -> None:
        """A car; ``behind`` is the strip of x that a post, drawn later, will hide."""
        ring = placed(CAR, x, ground, size, flip=flip)
        self.fill(ring, colour)
        for window in CAR_WINDOWS:
            self.fill(placed(window, x, ground, size, flip=flip), (208, 228, 236))
        for hub in (-0.57, 0.59):
            cx, cy = placed([(hub, 0.14)], x, ground, size, flip=flip)[0]
            self.fill(circle(cx, cy, 0.14 * size, 24), INK)
            self.fill(circle(cx, cy, 0.06 * size), (190, 194, 198))
        rings = [ring]
        if behind:
            rings = [clip(ring, 0, behind[0], keep_below=True), clip(ring, 0, behind[1], keep_below=False)]
        self.add(3, rings, **more)

    def dog(
        self, x: float, ground: float, size: float, colour: Colour, *, flip: bool = False, **more: Any
    ) -> None:
        """A dog."""
        ring = placed(DOG, x, ground, size, flip=flip)
        self.fill(ring, colour)
        eye, nose = placed([(-0.78, 0.84), (-0.96, 0.745)], x, ground, size, flip=flip)
        self.fill(circle(*eye, 0.03 * size, 10), INK)
        self.fill(circle(*nose, 0.04 * size, 10), INK)
        self.add(18, [ring], **more)

    def ball(
        self, x: float, y: float, radius: float, colour: Colour, *, count: int = 16, **more: Any
    ) -> None:
        """A ball."""
        ring = circle(x, y, radius, count)
        self.fill(ring, colour)
        self.fill(circle(x - radius * 0.3, y - radius * 0.3, radius * 0.3), (255, 255, 255))
        self.add(37, [ring], **more)

    def bird(self, x: float, y: float, size: float, **more: Any) -> None:
        """A bird in the sky: a box only, as for things too small to outline."""
        ring = placed(BIRD, x, y, size)
        self.fill(ring, INK)
        self.add(16, [ring], box_only=True, **more)

    def tyre(self, x: float, y: float, radius: float, *, top: float, **more: Any) -> None:
        """A tyre swing: a ring with a hole through which the park is seen."""
        outer, inner = circle(x, y, radius, 40), circle(x, y, radius * 0.52, 28)
        behind = self.picture.copy()
        self.bar(x - 1, top, x + 1, y - radius, (150, 122, 84))
        self.fill(outer, INK)
        self.fill(circle(x, y, radius * 0.8, 40), (78, 80, 88))
        stencil = Image.new("L", self.picture.size, 0)
        ImageDraw.Draw(stencil).polygon([(px * SCALE - 0.5, py * SCALE - 0.5) for px, py in inner], fill=255)
        self.picture.paste(behind, (0, 0), stencil)
        self.add(62, [outer], hole=inner, **more)

    def person(
        self,
        x: float,
        ground: float,
        height: float,
        pose: Pose,
        shirt: Colour,
        trousers: Colour,
        *,
        hidden: Sequence[str] = (),
        note: bool = True,
        **more: Any,
    ) -> Ring:
        """A figure; ``hidden`` names the key points one cannot see, though one can tell where they are."""
        ring = placed(person_outline(pose), x, ground, height)
        self.fill(ring, SKIN)
        neck, hip = ground - 0.80 * height, ground - 0.45 * height
        self.fill(clip(ring, 1, hip, keep_below=False), trousers)
        body = clip(clip(ring, 1, hip, keep_below=True), 1, neck, keep_below=False)
        self.fill(body, shirt)
        for hand in (pose.left_hand, pose.right_hand):
            self.fill(circle(x + hand[0] * height, ground - hand[1] * height, 0.034 * height, 12), SKIN)
        head_x, head_y = x, ground - 0.91 * height
        self.fill(
            clip(circle(head_x, head_y, 0.087 * height), 1, head_y - 0.03 * height, keep_below=True),
            (86, 62, 46),
        )
        joints = {
            "head": (0.0, 0.91), "neck": (0.0, 0.81),
            "left_hand": pose.left_hand, "right_hand": pose.right_hand,
            "hip": (0.0, 0.44), "left_foot": pose.left_foot, "right_foot": pose.right_foot,
        }  # fmt: skip
        flat: list[float] = []
        for name in KEYPOINTS:
            kx, ky = x + joints[name][0] * height, ground - joints[name][1] * height
            if not (0 <= kx < self.width and 0 <= ky < self.height):
                flat += [0, 0, 0]
            else:
                flat += [round(kx, 1), round(ky, 1), 1 if name in hidden else 2]
        if note:
            self.add(1, [ring], keypoints=flat, **more)
        return ring

    def crowd(self, x0: float, x1: float, ground: float, height: float) -> None:
        """Many small figures, annotated together."""
        rings = []
        x = x0
        while x < x1:
            pose = self.rng.choice([Pose(), WALK, CHEER])
            shirt = self.rng.choice(
                [(200, 80, 70), (72, 110, 180), (236, 196, 84), (240, 240, 236), (110, 84, 140)]
            )
            tall = height * self.rng.uniform(0.85, 1.05)
            rings.append(self.person(x, ground, tall, pose, shirt, (70, 76, 100), note=False))
            x += height * self.rng.uniform(0.3, 0.42)
        self.add(1, rings, crowd=True, keypoints=[0] * (3 * len(KEYPOINTS)))

    def save(self, folder: Path) -> None:
        """Shrink the picture and write it."""
        small = self.picture.resize((self.width, self.height), Image.Resampling.LANCZOS)
        path = folder / self.name
        if path.suffix == ".png":
            small.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
        else:
            small.save(path, quality=84, optimize=True)


# --- the twelve pictures -----------------------------------------------------------------------------------

RED, BLUE, WHITE, YELLOW, GREEN = (
    (196, 62, 54),
    (62, 104, 176),
    (236, 236, 232),
    (238, 194, 66),
    (74, 142, 104),
)
NAVY, BROWN, TAN, BLACK, ORANGE = (52, 62, 96), (128, 88, 58), (202, 164, 112), (66, 62, 62), (232, 132, 52)


def draw_all(rng: random.Random) -> list[Scene]:
    """Draw the scenes."""
    scenes: list[Scene] = []

    def new(name: str, width: int, height: int, **extra: Any) -> Scene:
        scenes.append(Scene(width, height, name, rng, extra))
        return scenes[-1]

    s = new("000000000139.jpg", 400, 300, weather="sunny")
    s.park(130)
    s.tree(52, 170, 120)
    s.person(150, 262, 130, WAVE, RED, NAVY, attributes={"adult": True, "hat": "none"})
    s.dog(262, 268, 40, BROWN, attributes={"leashed": False, "coat": "brown", "weight_kg": 12.5})
    s.ball(338, 262, 12, YELLOW)
    s.bird(300, 40, 9)
    s.bird(330, 58, 7, no_key=True)

    s = new("000000000285.jpg", 480, 360, weather="cloudy")
    s.park(120, sky=(196, 212, 224))
    s.houses(196)
    s.street(210, 330)
    s.car(150, 262, 74, RED, attributes={"colour": "red", "doors": 4, "parked": False})
    s.car(
        344,
        318,
        96,
        BLUE,
        flip=True,
        behind=(340, 350),
        attributes={"colour": "blue", "doors": 4, "parked": True},
    )
    s.post(345, 340, 230, 5)

    s = new("000000000632.jpg", 320, 240)
    s.park(100)
    s.person(92, 214, 110, THROW, GREEN, BROWN)
    s.person(
        228,
        210,
        104,
        CHEER,
        ORANGE,
        NAVY,
        attributes={"adult": False, "hat": "none"},
        checked_by="reviewer-2",
    )
    s.ball(164, 96, 8, WHITE, count=12)

    s = new("000000000724.jpg", 360, 270, weather="sunny")
    s.park(120)
    s.tree(250, 240, 230, trunk=0.035)
    s.tyre(176, 190, 34, top=60, attributes={"material": "rubber"})
    s.bar(150, 56, 252, 62, (116, 84, 60))
    s.dog(70, 238, 34, BLACK, flip=True, attributes={"leashed": True, "coat": "black", "weight_kg": 8})

    s = new("000000000785.jpg", 400, 300, weather="sunny")
    s.park(110)
    s.crowd(170, 330, 176, 62)
    feet = ("left_foot", "right_foot")
    cap = {"adult": True, "hat": "cap"}
    s.person(92, 276, 150, WALK, BLUE, BLACK, hidden=feet, attributes=cap)
    s.objects[-1]["rings"] = [clip(s.objects[-1]["rings"][0], 1, 252, keep_below=True)]
    s.bar(28, 252, 152, 284, (62, 118, 66))  # a hedge in front of the feet
    s.ball(236, 254, 14, RED, whole_numbers=True)

    s = new("000000000802.png", 320, 240)  # nobody about: a picture without annotations
    s.park(110, sky=(240, 206, 170), grass=(150, 170, 96))
    s.tree(80, 190, 130)
    s.tree(236, 214, 160)

    s = new("000000001000.jpg", 480, 320, weather="rain")
    s.park(90, sky=(168, 180, 192))
    s.houses(170)
    s.street(184, 300)
    s.car(28, 238, 80, GREEN, attributes={"colour": "green", "doors": 2, "parked": True}, truncated=True)
    s.car(256, 236, 70, WHITE, flip=True, attributes={"colour": "white", "doors": 4, "parked": False})
    s.person(400, 196, 84, WALK, YELLOW, NAVY, hidden=("left_hand", "left_foot"))
    s.objects[-1]["rings"] = [clip(s.objects[-1]["rings"][0], 0, 412, keep_below=True)]
    s.post(417, 204, 150, 5)  # in front of a hand and a foot

    s = new("000000001268.jpg", 240, 320)
    s.park(150)
    s.person(120, 388, 260, WAVE, (110, 84, 140), NAVY, attributes={"adult": True, "hat": "none"})
    s.bird(52, 60, 10)

    s = new("000000001296.png", 360, 270, weather="sunny")
    s.park(104)
    s.dog(102, 230, 52, TAN, attributes={"leashed": False, "coat": "tan", "weight_kg": 21})
    s.dog(268, 226, 38, (236, 230, 220), flip=True, checked_by="reviewer-1")
    s.ball(188, 216, 10, BLUE)

    s = new("000000001353.jpg", 400, 300)
    s.park(120)
    s.person(206, 258, 136, Pose(), WHITE, BLUE)
    s.bar(120, 224, 290, 232, (140, 100, 66))  # a bench in front of the legs
    for x in (128, 276):
        s.bar(x, 232, x + 7, 268, (96, 72, 52))
    figure = s.objects[-1]
    whole = figure["rings"][0]
    figure["rings"] = [clip(whole, 1, 224, keep_below=True), *feet_below(whole, 232)]
    s.ball(334, 264, 15, ORANGE)
    s.bird(60, 48, 8, no_key=True)

    s = new("000000001425.jpg", 480, 360, weather="fog")
    s.park(140, sky=(214, 220, 222), grass=(142, 172, 122))
    s.street(236, 330)
    s.car(
        130, 300, 92, YELLOW, behind=(106, 118), attributes={"colour": "yellow", "doors": 4, "parked": True}
    )
    s.tree(112, 322, 250, trunk=0.024)
    s.person(290, 232, 92, Pose(), RED, BLACK, attributes={"adult": True, "hat": "none"})
    s.person(330, 230, 66, WAVE, BLUE, BROWN, attributes={"adult": False, "hat": "none"})
    s.dog(400, 228, 24, BROWN, attributes={"leashed": True, "coat": "brown", "weight_kg": 14.25})

    s = new("000000001490.jpg", 320, 240, weather="sunny")
    s.park(96)
    s.tyre(226, 196, 26, top=196)
    s.tyre(160, 206, 22, top=206, attributes={"material": "rubber"})
    s.person(70, 216, 112, THROW, ORANGE, NAVY)
    s.ball(126, 124, 6, WHITE, count=10, whole_numbers=True)
    return scenes


def feet_below(ring: Ring, y: float) -> list[Ring]:
    """The two feet of a figure cut off at a height, as two rings."""
    middle = sum(x for x, _ in ring) / len(ring)
    low = clip(ring, 1, y, keep_below=False)
    return [clip(low, 0, middle, keep_below=True), clip(low, 0, middle, keep_below=False)]


# --- annotations -------------------------------------------------------------------------------------------


def flat_ring(ring: Ring, *, whole: bool = False) -> list[float]:
    """A ring as COCO writes it; some annotators click whole pixels."""
    return [round(value) if whole else round(value, 2) for point in ring for value in point]


def merged(parts: list[list[float]], scene: Scene) -> Rle:
    """The mask of a polygon, as compressed RLE with bytes."""
    rle: Rle = mask_api.merge(mask_api.frPyObjects(parts, scene.height, scene.width))
    return rle


def encoded(pixels: np.ndarray) -> Rle:
    """The compressed RLE of a mask."""
    rle: Rle = mask_api.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return rle


def plain_counts(pixels: np.ndarray) -> list[int]:
    """Run lengths down the columns, zeros first."""
    flat = pixels.flatten(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    return [0, *runs] if flat[0] else list(runs)


def as_text(rle: Rle) -> Rle:
    """The same RLE, fit for JSON."""
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}


def extent(parts: list[list[float]]) -> list[float]:
    """The box round the vertices of all parts."""
    xs = [x for part in parts for x in part[0::2]]
    ys = [y for part in parts for y in part[1::2]]
    return [min(xs), min(ys), round(max(xs) - min(xs), 2), round(max(ys) - min(ys), 2)]


def annotation(note: dict[str, Any], scene: Scene) -> dict[str, Any]:
    """One object in COCO's words, without ids."""
    parts = [flat_ring(ring, whole=note.get("whole_numbers", False)) for ring in note["rings"]]
    out: dict[str, Any] = {"category_id": note["category_id"]}
    if note.get("box_only"):
        out["bbox"] = extent(parts)
        out["area"] = round(out["bbox"][2] * out["bbox"][3], 4)
        if not note.get("no_key"):
            out["segmentation"] = []
        rle = None
    elif note.get("crowd") or "hole" in note:
        rle = merged(parts, scene)
        if "hole" in note:
            pixels = mask_api.decode(rle) & ~mask_api.decode(merged([flat_ring(note["hole"])], scene)) & 1
            rle = encoded(pixels)
            out["segmentation"] = as_text(rle)
        else:
            out["segmentation"] = {
                "size": [scene.height, scene.width],
                "counts": plain_counts(mask_api.decode(rle)),
            }
        out["bbox"] = [int(v) for v in mask_api.toBbox(rle)]
        out["area"] = int(mask_api.area(rle))
    else:
        rle = merged(parts, scene)
        out["segmentation"] = parts
        out["bbox"] = extent(parts)
        out["area"] = float(mask_api.area(rle))
    out["iscrowd"] = int(bool(note.get("crowd")))
    if "keypoints" in note:
        out["num_keypoints"] = sum(1 for v in note["keypoints"][2::3] if v > 0)
        out["keypoints"] = note["keypoints"]
    for key in ("attributes", "checked_by", "truncated"):
        if key in note:
            out[key] = note[key]
    return out


def dataset(scenes: Sequence[Scene], rng: random.Random) -> dict[str, Any]:
    """The whole instances file."""
    images = []
    annotations: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes):
        image_id = int(scene.name.split(".")[0])
        images.append(
            {
                "id": image_id,
                "file_name": scene.name,
                "width": scene.width,
                "height": scene.height,
                "license": 1 + number % 2,
                "date_captured": f"2024-05-{11 + number:02d} 1{number % 10}:3{number % 6}:00",
                **scene.extra,
            }
        )
        annotations += [{"image_id": image_id, **annotation(note, scene)} for note in scene.objects]
    ids = sorted(rng.sample(range(1000, 99999), len(annotations)))
    rng.shuffle(annotations)  # in real files neither rows nor ids follow the images
    rng.shuffle(images)
    return {
        "info": {
            "description": "nucleus-convert example: twelve drawn pictures of a park",
            "version": "1.0",
            "year": 2024,
            "contributor": "nucleus-convert contributors",
            "date_created": "2024-06-01",
        },
        "licenses": [
            {"id": 1, "name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            {"id": 2, "name": "CC0 1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"},
        ],
        "label_tool": {"name": "make_example.py", "revision": 1},
        "images": images,
        "annotations": [{"id": ids[k], **row} for k, row in enumerate(annotations)],
        "categories": CATEGORIES,
    }


# --- results: the same objects seen by a detector that is good but not perfect -----------------------------


def shifted(pixels: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """A mask moved by whole pixels, what leaves the picture being lost."""
    out = np.zeros_like(pixels)
    h, w = pixels.shape
    out[max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = pixels[
        max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
    ]
    return out


def results(data: dict[str, Any], rng: random.Random) -> dict[str, list[dict[str, Any]]]:
    """Detections as three results files: boxes, masks and key points."""
    sizes = {row["id"]: (row["height"], row["width"]) for row in data["images"]}
    found: dict[str, list[dict[str, Any]]] = {"bbox": [], "segm": [], "keypoints": []}
    for row in sorted(data["annotations"], key=lambda r: (r["image_id"], r["id"])):
        if row["iscrowd"] or rng.random() < 0.12:
            continue  # missed
        x, y, w, h = row["bbox"]
        slack = rng.uniform(0.01, 0.09)
        near = [
            x + rng.gauss(0, slack) * w,
            y + rng.gauss(0, slack) * h,
            w * rng.uniform(0.94, 1.08),
            h * rng.uniform(0.94, 1.08),
        ]
        score = round(min(0.999, max(0.05, rng.gauss(0.97 - 4 * slack, 0.07))), 3)
        shared = {"image_id": row["image_id"], "category_id": row["category_id"]}
        found["bbox"].append({**shared, "bbox": [round(v, 1) for v in near], "score": score})
        if row.get("segmentation"):
            height, width = sizes[row["image_id"]]
            segmentation = row["segmentation"]
            if isinstance(segmentation, list):
                rle = mask_api.merge(mask_api.frPyObjects(segmentation, height, width))
            else:
                rle = {"size": segmentation["size"], "counts": segmentation["counts"].encode("ascii")}
            step = max(1, round(slack * min(w, h)))
            moved = shifted(mask_api.decode(rle), rng.choice([-step, 0, step]), rng.choice([-step, 0, step]))
            found["segm"].append({**shared, "segmentation": as_text(encoded(moved)), "score": score})
        if row.get("num_keypoints"):
            points: list[float] = []
            for kx, ky, v in zip(*[iter(row["keypoints"])] * 3, strict=True):
                spread = slack * math.sqrt(row["area"]) * 0.6
                seen = (kx, ky) if v else (x + w / 2, y + h / 2)
                points += [
                    round(seen[0] + rng.gauss(0, spread), 1),
                    round(seen[1] + rng.gauss(0, spread), 1),
                    1,
                ]
            found["keypoints"].append({**shared, "keypoints": points, "score": score})
    for image_id, category_id in (
        (802, 1),
        (139, 18),
        (1268, 37),
        (285, 3),
        (1425, 16),
    ):  # things that are not there
        height, width = sizes[image_id]
        w, h = rng.uniform(20, 60), rng.uniform(20, 60)
        box = [round(v, 1) for v in (rng.uniform(0, width - w), rng.uniform(0, height - h), w, h)]
        shared = {"image_id": image_id, "category_id": category_id}
        score = round(rng.uniform(0.2, 0.62), 3)
        found["bbox"].append({**shared, "bbox": box, "score": score})
        if category_id != 16:
            x0, y0, x1, y1 = box[0], box[1], box[0] + w, box[1] + h
            rle = mask_api.frPyObjects([[x0, y0, x1, y0, x1, y1, x0, y1]], height, width)[0]
            found["segm"].append({**shared, "segmentation": as_text(rle), "score": score})
        if category_id == 1:
            flat = [
                v
                for k in range(len(KEYPOINTS))
                for v in (round(box[0] + w * (k % 3) / 2, 1), round(box[1] + h * k / 6, 1), 1)
            ]
            found["keypoints"].append({**shared, "keypoints": flat, "score": score})
    return found


# --- writing -----------------------------------------------------------------------------------------------


def one_row_a_line(value: dict[str, Any] | list[Any]) -> str:
    """JSON with one image, annotation or category on each line."""
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(row) for row in value) + "\n]\n"
    lines = []
    for key, item in value.items():
        text = json.dumps(item)
        if isinstance(item, list):
            text = "[\n  " + ",\n  ".join(json.dumps(row) for row in item) + "\n ]"
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def make(out: Path) -> None:
    """Write pictures and annotations."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    (out / "annotations").mkdir(parents=True, exist_ok=True)
    scenes = draw_all(random.Random(20240601))
    for scene in scenes:
        scene.save(out / "images")
    data = dataset(scenes, random.Random(7))
    (out / "annotations" / "instances.json").write_text(one_row_a_line(data), encoding="utf-8")
    for task, rows in results(data, random.Random(11)).items():
        (out / "annotations" / f"results_{task}.json").write_text(one_row_a_line(rows), encoding="utf-8")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{len(scenes)} pictures, {len(data['annotations'])} annotations, {size / 1000:.0f} kB in {out}")


if __name__ == "__main__":
    make(PARK)

"""A picture of a lander, drawn with Pillow: the ground, the pad between its flags, the lander, its engines' flames."""

import math

import numpy as np
from PIL import Image, ImageDraw

SKY, GROUND, EDGE = (16, 18, 32), (150, 150, 158), (215, 215, 222)
BODY, LEG, LANDED = (128, 102, 230), (170, 150, 245), (90, 210, 130)
FLAG, POLE, FLAME = (230, 200, 40), (235, 235, 235), (255, 150, 50)
SMOOTH = 2  # the picture is drawn so many times as large, and then made smaller


def draw(
    bodies: np.ndarray,
    shapes: tuple[np.ndarray, np.ndarray],
    ground: np.ndarray,
    grounded: np.ndarray,
    flame: tuple[np.ndarray, np.ndarray] | None,
    size: tuple[int, int],
    world: tuple[float, float],
    pad: tuple[float, float],
) -> np.ndarray:
    """An image, uint8 [height, width, 3].

    Args:
      bodies: places of hull and legs (m, m, rad) [3, 3].
      shapes: corners of hull and leg about their centres (m) [K, 2].
      ground: heights of evenly spaced corners (m) [11].
      grounded: which legs touch it [2].
      flame: where a flame begins and ends in the hull's frame (m), if there is one.
      size: width and height of the image.
      world: width and height of what it shows (m).
      pad: left and right end of the pad (m).
    """
    width, height = (SMOOTH * n for n in size)
    scale = min(width / world[0], height / world[1])
    left, bottom = (width - scale * world[0]) / 2, (height + scale * world[1]) / 2
    picture = Image.new("RGB", (width, height), SKY)
    pen = ImageDraw.Draw(picture)

    def place(points: np.ndarray) -> list[tuple[float, float]]:
        return [(left + scale * float(x), bottom - scale * float(y)) for x, y in points]

    def moved(points: np.ndarray, body: np.ndarray) -> np.ndarray:
        c, s = math.cos(body[2]), math.sin(body[2])
        return points @ np.array([[c, s], [-s, c]]) + body[:2]

    line = max(1, round(scale * 0.04))
    top = np.stack([np.linspace(0.0, world[0], len(ground)), ground], axis=1)
    # To the sides the ground goes on as it ends.
    far = width / scale
    outline = np.concatenate([[[-far, ground[0]]], top, [[world[0] + far, ground[-1]]]])
    pen.polygon(place(np.concatenate([outline, [[world[0] + far, -far], [-far, -far]]])), fill=GROUND)
    pen.line(place(outline), fill=EDGE, width=line)
    for x in pad:
        y = float(np.interp(x, top[:, 0], ground))
        pen.line(place(np.array([[x, y], [x, y + 1.6]])), fill=POLE, width=line)
        pen.polygon(place(np.array([[x, y + 1.6], [x, y + 1.0], [x + 0.8, y + 1.3]])), fill=FLAG)
    if flame is not None:
        start, end = flame
        side = 0.12 * np.array([start[1] - end[1], end[0] - start[0]]) / max(float(np.hypot(*(end - start))), 1e-9)
        pen.polygon(place(moved(np.stack([start - side, start + side, end]), bodies[0])), fill=FLAME)
    for leg, down in zip(bodies[1:], grounded, strict=True):
        pen.polygon(place(moved(shapes[1], leg)), fill=LANDED if down else LEG)
    pen.polygon(place(moved(shapes[0], bodies[0])), fill=BODY, outline=EDGE, width=line)
    return np.asarray(picture.resize(size, Image.Resampling.BOX))

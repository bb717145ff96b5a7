"""A picture of a lander: the ground, the pad between its flags, the lander, its engines' flames."""

import math

import numpy as np

from awr_mjx.envs.drawing import Canvas

SKY, HORIZON = (13, 16, 34), (42, 48, 82)
GROUND, EDGE = (150, 150, 158), (215, 215, 222)
BODY, LEG, LANDED = (128, 102, 230), (170, 150, 245), (90, 210, 130)
FLAG, POLE = (230, 200, 40), (235, 235, 235)
FLAMES = ((1.0, (255, 120, 40)), (0.55, (255, 225, 120)))  # the whole of it, and what is brighter within
STARS = np.random.default_rng(4).uniform((-0.5, 0.2, 0.25), (1.5, 1.0, 1.0), (140, 3))  # x, y of the world; brightness


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
    canvas = Canvas(size, world, sky=(SKY, HORIZON))
    for x, y, bright in STARS:
        level = round(80 + 150 * bright)
        canvas.disc([x * world[0], y * world[1]], 0.012 + 0.025 * bright**2, (level, level, level))

    def moved(points: np.ndarray, body: np.ndarray) -> np.ndarray:
        c, s = math.cos(body[2]), math.sin(body[2])
        return points @ np.array([[c, s], [-s, c]]) + body[:2]

    top = np.stack([np.linspace(0.0, world[0], len(ground)), ground], axis=1)
    canvas.ground(top, GROUND, EDGE)
    for x in pad:
        y = float(np.interp(x, top[:, 0], ground))
        canvas.line([[x, y], [x, y + 1.6]], POLE)
        canvas.polygon([[x, y + 1.6], [x, y + 1.0], [x + 0.8, y + 1.3]], FLAG)
    if flame is not None:
        start, end = flame
        side = 0.12 * np.array([start[1] - end[1], end[0] - start[0]]) / max(float(np.hypot(*(end - start))), 1e-9)
        for share, colour in FLAMES:
            tip = start + share * (end - start)
            canvas.polygon(moved(np.stack([start - share * side, start + share * side, tip]), bodies[0]), colour)
    for leg, down in zip(bodies[1:], grounded, strict=True):
        canvas.polygon(moved(shapes[1], leg), LANDED if down else LEG)
    canvas.polygon(moved(shapes[0], bodies[0]), BODY, EDGE)
    return canvas.image()

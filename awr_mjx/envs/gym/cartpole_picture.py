"""A picture of a cart on its rail, which ends where an episode does, and of the pole on it."""

import math

import numpy as np

from awr_mjx.envs.drawing import BODY, EDGE, METAL, OTHER, Canvas

WORLD, CORNER = (6.0, 2.3), (-3.0, -0.7)  # m: what is shown, and its lower left
CART, WHEEL, POLE, RAIL, BELOW = (0.5, 0.26), 0.08, 0.07, 0.05, 0.22  # m
PUSH = 0.4  # m, of the arrow


def draw(
    position: float, angle: float, push: float, length: float, limits: tuple[float, float], size: tuple[int, int]
) -> np.ndarray:
    """An image, uint8 [height, width, 3].

    Args:
      position: of the cart (m).
      angle: of the pole, clockwise from upright (rad).
      push: where the cart is pushed: -1 to the left, 1 to the right.
      length: of the pole (m).
      limits: position (m) and angle (rad) at which an episode ends.
      size: width and height of the image.
    """
    canvas, (far, lean), (width, height) = Canvas(size, WORLD, CORNER), limits, CART
    pivot = np.array([position, WHEEL + 0.7 * height])

    def up(angle: float, length: float) -> np.ndarray:
        return pivot + length * np.array([math.sin(angle), math.cos(angle)])

    canvas.floor(-BELOW)
    for end in (-far, far):
        canvas.line([[end, -BELOW], [end, 0.0]], METAL, 2 * RAIL)
    canvas.rod((-far, 0.0), (far, 0.0), RAIL, METAL)
    for side in (-lean, lean):  # a pole that comes so far has fallen
        canvas.line([pivot, up(side, length + 0.1)], EDGE, 0.012)
    canvas.arrow((position + push * (width / 2 + 0.06), pivot[1]), (push * PUSH, 0.0))
    canvas.box((position, WHEEL + RAIL / 2 + height / 2), CART, BODY)
    for side in (-0.3, 0.3):
        canvas.disc((position + side * width, WHEEL + RAIL / 2), WHEEL, METAL)
    canvas.rod(pivot, up(angle, length), POLE, OTHER)
    canvas.disc(pivot, 0.05, EDGE)
    return canvas.image()

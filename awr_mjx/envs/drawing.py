"""Pictures of tasks without a MuJoCo model: shapes in metres on a sky, drawn with Pillow, smooth at their edges."""

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255
# As envs/gym/assets/scene.xml has them.
SKY, HORIZON, FLOOR, EDGE = (51, 107, 179), (204, 224, 245), (94, 110, 126), (140, 153, 166)
BODY, OTHER, METAL, ARROW = (230, 140, 64), (140, 89, 191), (60, 68, 80), (214, 60, 60)
SMOOTH = 2  # a picture is drawn so many times as large, and then made smaller


def unit(colour: Colour) -> tuple[float, float, float]:
    """A colour as MuJoCo has it: red, green, blue, 0 to 1."""
    red, green, blue = (part / 255 for part in colour)
    return red, green, blue


def gradient(height: int, down_to: float, sky: tuple[Colour, Colour] = (SKY, HORIZON)) -> np.ndarray:
    """A column of sky, uint8 [height, 1, 3], which has its second colour from the row `down_to` on."""
    share = np.clip(np.arange(height) / down_to, 0.0, 1.0)[:, None, None]
    return ((1 - share) * np.array(sky[0]) + share * np.array(sky[1])).round().astype(np.uint8)


class Canvas:
    """An image that shows a rectangle of a vertical plane, and what lies around it if it has another shape.

    Points are (x, y) in m, y upwards; lengths are in m.
    """

    def __init__(
        self,
        size: tuple[int, int],
        world: tuple[float, float],
        corner: tuple[float, float] = (0.0, 0.0),
        sky: tuple[Colour, Colour] = (SKY, HORIZON),
    ) -> None:
        """`size` is the image's width and height (pixels), `world` that of what it shows at least (m).

        `corner` is the lower left of that, and `sky` the colours at the upper end of the image and from y = 0 down.
        """
        width, height = (SMOOTH * n for n in size)
        self._scale = min(width / world[0], height / world[1])
        self._left = (width - self._scale * world[0]) / 2 - self._scale * corner[0]
        self._bottom = (height + self._scale * world[1]) / 2 + self._scale * corner[1]
        column = gradient(height, max(self._bottom, 1.0), sky)
        self._picture = Image.fromarray(column).resize((width, height), Image.Resampling.NEAREST)
        self._pen = ImageDraw.Draw(self._picture)
        self._far = max(width, height) / self._scale  # m; what is as far off from what is shown is out of sight

    def _place(self, points: ArrayLike) -> list[tuple[float, float]]:
        """Where `points`, [K, 2] or [2], are in the image (pixels)."""
        return [
            (self._left + self._scale * x, self._bottom - self._scale * y) for x, y in np.atleast_2d(points).tolist()
        ]

    def _pixels(self, length: float) -> int:
        return max(1, round(self._scale * length))

    def polygon(
        self,
        corners: ArrayLike,
        fill: Colour,
        edge: Colour | None = None,
        width: float = 0.04,
    ) -> None:
        """A shape with `corners` [K, 2], with a line of `width` round it if it is to have an `edge`."""
        self._pen.polygon(self._place(corners), fill, edge, self._pixels(width) if edge else 1)

    def line(self, points: ArrayLike, colour: Colour, width: float = 0.04) -> None:
        """A line through `points` [K, 2]."""
        self._pen.line(self._place(points), fill=colour, width=self._pixels(width))

    def disc(self, centre: ArrayLike, radius: float, fill: Colour) -> None:
        """A disc about `centre` [2]."""
        ((x, y),), r = self._place(centre), self._scale * radius
        self._pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def box(self, centre: ArrayLike, size: ArrayLike, fill: Colour) -> None:
        """A rectangle of `size` [2] about `centre` [2], its corners a little round."""
        to_corner = np.multiply(size, (0.5, -0.5))
        upper_left, lower_right = self._place([np.subtract(centre, to_corner), np.add(centre, to_corner)])
        radius = self._pixels(0.2 * float(np.min(size)))
        self._pen.rounded_rectangle((*upper_left, *lower_right), radius, fill=fill)

    def rod(self, start: ArrayLike, end: ArrayLike, width: float, fill: Colour) -> None:
        """A thick line from `start` [2] to `end` [2] with round ends."""
        side = width / 2 * _left_of(np.subtract(end, start))
        self.polygon([np.add(start, side), np.add(end, side), np.subtract(end, side), np.subtract(start, side)], fill)
        for point in (start, end):
            self.disc(point, width / 2, fill)

    def arrow(self, start: ArrayLike, along: ArrayLike, colour: Colour = ARROW) -> None:
        """An arrow from `start` [2] that is `along` [2] long."""
        length = float(np.linalg.norm(along))
        if length == 0.0:
            return
        size, tip = min(0.16, length), np.add(start, along)  # of its head, which is as wide as it is long
        neck, side = tip - size / length * np.asarray(along), size / 2 * _left_of(along)
        self.rod(start, neck, 0.3 * size, colour)
        self.polygon([tip, neck + side, neck - side], colour)

    def floor(self, height: float = 0.0, fill: Colour = FLOOR, edge: Colour = EDGE) -> None:
        """A floor at `height`."""
        self.ground([[0.0, height]], fill, edge)

    def ground(self, top: ArrayLike, fill: Colour, edge: Colour) -> None:
        """Ground with the outline `top` [K, 2]; to the sides it goes on as it ends."""
        top = np.asarray(top)
        first, last, far = top[0], top[-1], 4 * self._far
        outline = [[first[0] - far, first[1]], *top, [last[0] + far, last[1]]]
        self.polygon([*outline, [last[0] + far, -far], [first[0] - far, -far]], fill)
        self.line(outline, edge)

    def image(self) -> np.ndarray:
        """What has been drawn, uint8 [height, width, 3]."""
        return np.asarray(self._picture.reduce(SMOOTH))


def _left_of(along: ArrayLike) -> np.ndarray:
    """The direction [2] to the left of another, of length 1."""
    x, y = np.asarray(along, float)
    return np.array([-y, x]) / max(float(np.hypot(x, y)), 1e-9)

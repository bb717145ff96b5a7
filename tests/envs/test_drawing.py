"""Shapes in metres, where they are in pixels."""

import numpy as np
import pytest

from awr_mjx.envs import drawing
from awr_mjx.envs.drawing import Canvas

RED, NIGHT = (255, 0, 0), ((0, 0, 0), (0, 0, 0))


def bounds(canvas: Canvas, colour: tuple[int, int, int] = RED) -> tuple[int, int, int, int]:
    """First and last column and row in which there is nothing but `colour`."""
    there = (canvas.image() == colour).all(axis=2)
    columns, rows = np.flatnonzero(there.any(axis=0)), np.flatnonzero(there.any(axis=1))
    return int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # A world of 4 m x 2 m whose lower left is (-1, -1), and in it a square from (0, 0) to (1, 1). At 10 pixels a
        # metre it begins 10 pixels from the left, and ends 10 from the bottom.
        ((40, 20), (10, 19, 0, 9)),
        ((60, 20), (20, 29, 0, 9)),  # 10 columns more on either side
        ((40, 40), (10, 19, 10, 19)),  # 10 rows more above and below
        ((80, 40), (20, 39, 0, 19)),  # 20 pixels a metre
    ],
)
def test_the_world_fits_every_image(size: tuple[int, int], expected: tuple[int, int, int, int]) -> None:
    canvas = Canvas(size, (4.0, 2.0), (-1.0, -1.0), NIGHT)
    canvas.polygon([(0, 0), (1, 0), (1, 1), (0, 1)], RED)
    found = bounds(canvas)
    assert np.abs(np.subtract(found, expected)).max() <= 1, found


@pytest.mark.parametrize("shape", ["disc", "box", "rod", "arrow"])
def test_shapes_are_as_large_as_they_are_said_to_be(shape: str) -> None:
    canvas = Canvas((200, 100), (4.0, 2.0), (-2.0, -1.0), NIGHT)  # 50 pixels a metre, (0, 0) at (100, 50)
    if shape == "disc":
        canvas.disc((0.5, 0.2), 0.4, RED)  # from 0.1 to 0.9, from -0.2 to 0.6
        expected = (105, 145, 20, 60)
    elif shape == "box":
        canvas.box((0.5, 0.2), (1.0, 0.4), RED)  # from 0 to 1, from 0 to 0.4
        expected = (100, 150, 30, 50)
    elif shape == "rod":
        canvas.rod((0.0, 0.0), (1.0, 0.0), 0.2, RED)  # its ends are round: from -0.1 to 1.1
        expected = (95, 155, 45, 55)
    else:
        canvas.arrow((0.0, 0.0), (-1.0, 0.0), RED)  # a head of 0.16, as wide as it is long
        expected = (50, 101, 46, 54)
    assert np.abs(np.subtract(bounds(canvas), expected)).max() <= 2, bounds(canvas)


def test_no_arrow_is_drawn_of_no_length() -> None:
    canvas = Canvas((20, 20), (2.0, 2.0), sky=NIGHT)
    canvas.arrow((1.0, 1.0), (0.0, 0.0), RED)
    assert not canvas.image().any()


def test_the_sky_is_lightest_above_the_floor_which_goes_on_to_both_sides() -> None:
    canvas = Canvas((300, 100), (2.0, 2.0), (-1.0, -0.5))  # 50 pixels a metre, y = 0 in row 75
    canvas.floor()
    image = canvas.image()
    np.testing.assert_allclose(image[0], np.tile(drawing.SKY, (300, 1)), atol=3)
    np.testing.assert_allclose(image[72], np.tile(drawing.HORIZON, (300, 1)), atol=8)
    assert (image[80:] == drawing.FLOOR).all()


def test_edges_are_smooth() -> None:
    canvas = Canvas((40, 40), (2.0, 2.0), sky=NIGHT)
    canvas.polygon([(0.2, 0.2), (1.8, 0.5), (1.0, 1.7)], RED)
    assert 3 <= len(np.unique(canvas.image()[..., 0])) <= 5  # shares of 2 x 2 pixels

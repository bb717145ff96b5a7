"""Images to files."""

import pathlib
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from PIL import Image

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.files import replacing
from awr_mjx.train.pictures import video


def test_gif_keeps_real_time_and_colours(tmp_path: pathlib.Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (7, 3), np.uint8)
    frames = [np.broadcast_to(colour, (21, 33, 3)) for colour in colours]
    video.write_movie(tmp_path / "a.part", ".gif", frames, Fraction(7), 33, 21)
    with Image.open(tmp_path / "a.part") as image:
        assert image.size == (33, 21)
        assert image.info["loop"] == 0  # for ever
        assert image.n_frames == 7  # type: ignore[attr-defined]
        milliseconds = 0
        for i, colour in enumerate(colours):
            image.seek(i)
            milliseconds += image.info["duration"]
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - colour).max() < 10
    assert milliseconds == 1000  # although a GIF counts in 10 ms, of which 1/7 s is no multiple


def test_words_on_a_picture_fit_and_can_be_read() -> None:
    for shape in ((96, 160, 3), (48, 53, 3), (480, 640, 3)):
        image = np.full(shape, 128, np.uint8)
        written = video.write_on(image, "12.34 s  return -1,234.5  reward 12.34").astype(int)
        changed = np.argwhere((written != 128).any(axis=2))
        assert written.max() > 200 and written.min() < 50  # white with a dark edge
        assert changed[:, 0].max() < shape[0] // 4
        if shape[1] > 100:
            assert shape[1] // 3 < changed[:, 1].max() < shape[1] - 1
    assert (image == 128).all()


def test_failed_movie_leaves_nothing(tmp_path: pathlib.Path) -> None:
    def frames() -> Any:
        yield np.zeros((16, 16, 3), np.uint8)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.mp4") as part:
        video.write_movie(part, ".mp4", frames(), Fraction(10), 16, 16)
    assert not list(tmp_path.iterdir())
    images = [np.zeros((16, 16, 3), np.uint8)] * 3
    with pytest.raises(UserError, match=r"ffmpeg could not write the movie: .*No such file"):
        video.write_movie(tmp_path / "nowhere" / "a.mp4", ".mp4", images, Fraction(10), 16, 16)

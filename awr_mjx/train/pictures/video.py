"""Images to files: H.264 movies and GIFs by the ffmpeg that comes with `imageio-ffmpeg`, and contact sheets as PNG."""

import contextlib
import pathlib
import subprocess
import tempfile
from collections.abc import Iterable
from fractions import Fraction

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from awr_mjx.train.console.errors import UserError

# Half the colour resolution (yuv420p) is what every browser and player can show; the index goes first for streaming.
_H264 = ["-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"]
_GIF = ["-filter_complex", "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=bayer:bayer_scale=4"]
ENCODERS = {".mp4": _H264, ".gif": [*_GIF, "-loop", "0", "-f", "gif"]}


def write_movie(
    path: pathlib.Path, kind: str, frames: Iterable[np.ndarray], fps: Fraction, width: int, height: int
) -> None:
    """Encodes frames, uint8 [height, width, 3], as they come.

    Args:
      path: the file; its name may end in anything.
      kind: ".mp4" (`width` and `height` must be even) or ".gif".
      frames: the images.
      fps: images per second.
      width: pixels.
      height: pixels.

    Raises:
      UserError: with ffmpeg's last words if it fails, for instance because the disk is full.
    """
    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise UserError("there is no ffmpeg: pip install imageio-ffmpeg, or write a .png") from error
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    command = [program, "-y", "-v", "error", *source, *ENCODERS[kind], str(path.resolve())]
    with tempfile.TemporaryFile() as words:
        # A session of its own: Ctrl-C is for us, who then end ffmpeg.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=words, start_new_session=True)
        assert process.stdin is not None, "Popen was asked for a pipe"
        try:
            with contextlib.suppress(BrokenPipeError):  # ffmpeg has ended; its status says why
                for frame in frames:
                    process.stdin.write(np.ascontiguousarray(frame).data)
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            status = process.wait()
        if status:
            words.seek(0)
            lines = words.read().decode(errors="replace").splitlines() or [f"status {status}"]
            raise UserError(f"ffmpeg could not write the movie: {lines[-1]}")


def write_sheet(path: pathlib.Path, frames: Iterable[np.ndarray], columns: int) -> None:
    """Writes frames, uint8 [H, W, 3] each, as one PNG, in rows of `columns` (their number must be a multiple of it)."""
    images = list(frames)
    rows = [np.concatenate(images[i : i + columns], axis=1) for i in range(0, len(images), columns)]
    Image.fromarray(np.concatenate(rows, axis=0)).save(path, format="PNG", optimize=True)


def write_on(image: np.ndarray, words: str) -> np.ndarray:
    """The image, uint8 [H, W, 3], with a line of words at its upper left, as large as fits the width."""
    picture = Image.fromarray(image)
    pen, size = ImageDraw.Draw(picture), max(12, image.shape[0] // 20)
    font = ImageFont.load_default(size)
    while pen.textlength(words, font) > image.shape[1] - size and size > 7:
        size -= 1
        font = ImageFont.load_default(size)
    pen.text((size // 2, size // 2), words, "white", font, stroke_width=max(1, size // 10), stroke_fill="black")
    return np.asarray(picture)

"""Shows a trained policy's mode action as a movie: `python -m train.render --run RUN --out ant.mp4`.

The name of the file says what it will be: .mp4, .gif, or .png for a contact sheet of 8 frames. No screen is needed.
"""

import pathlib

from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import run_program
from awr_mjx.train.pictures.film import PHYSICS, RenderConfig, episodes, render
from awr_mjx.train.pictures.painters import load
from awr_mjx.train.policies import shipped

TOLD = 5  # episodes whose returns are printed


def main() -> int:
    """Writes the file and prints what it shows."""
    config = cli.parse(RenderConfig, cli.arguments(), prog=program("render"), description="Render a run's mode action.")
    config.validate(config.out.suffix.lower() if config.out else ".mp4")
    player = load(config.run, config.step, config.moved, shipped.find)
    task = player.config.env
    folder = config.run if config.run.is_dir() else pathlib.Path()
    out = config.out or folder / f"{task.replace('/', '-')}.mp4"
    clips, count, fps = render(player, config, out)
    width, height = config.size(out.suffix.lower())
    rate = "" if out.suffix.lower() == ".png" else f" at {float(fps):.4g} per second"
    print(f"{out}: {count} frames{rate}, {config.seconds:g} s, {width}x{height}")
    ends = [(i, end) for i, clip in enumerate(clips) for end in episodes(clip)]
    for i, end in ends[:TOLD]:
        over = ("" if end.over else ", not over yet") + (f", {PHYSICS[i]} physics" if config.both else "")
        print(f"{task} after {player.after}: episode return {end.total:.1f} in {end.steps} steps{over}")
    if len(ends) > TOLD:
        print(f"and {len(ends) - TOLD} more")
    return 0


if __name__ == "__main__":
    run_program(main)

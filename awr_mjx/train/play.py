"""Shows a trained policy at once: `python -m train.play ant`, without training.

Policies of some tasks come with the project; `python -m train.play` lists them. A run folder, or an exported .npz file,
is played too. It opens a page for the browser, or writes a film with --out.
"""

import dataclasses
import pathlib

import jax
import tyro
from rich.console import Console
from rich.table import Table

from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import run_program
from awr_mjx.train.engine.jax_setup import start_jax
from awr_mjx.train.engine.streams import check_seed
from awr_mjx.train.pictures import painters
from awr_mjx.train.pictures.film import RenderConfig, render
from awr_mjx.train.policies import shipped


@dataclasses.dataclass(frozen=True)
class PlayConfig:
    """What to play, and where."""

    policy: tyro.conf.Positional[str] = ""
    """A task of which a policy comes with the project, a run folder, or an exported .npz file."""
    out: pathlib.Path | None = None
    """Film to write instead: .mp4, .gif, or .png for a sheet of frames."""
    seconds: float = 10.0
    """Simulated time of the film."""
    together: int = 1
    """Robots on one floor, with the seeds from `seed` on."""
    seed: int = 0
    """Start states follow from this."""
    host: str = "127.0.0.1"
    """Address of the page; 0.0.0.0 lets other computers in."""
    port: int = 8080
    """Port of the page."""


def show_all() -> None:
    """Prints the policies that come with the project."""
    table = Table("policy", "return in training's physics", "in Gymnasium", "trained")
    for name, told in shipped.about().items():
        table.add_row(name, told["here"], told["gymnasium"], told["trained"])
    Console().print(table)
    print(f"{program('play')} NAME shows one, {program('play')} NAME --out film.mp4 writes a film of it")


def main() -> int:
    """Plays a policy until it is interrupted, writes a film, or lists the policies there are."""
    config = cli.parse(PlayConfig, cli.arguments(), prog=program("play"), description="Play a trained policy.")
    if not config.policy:
        show_all()
        return 0
    check_seed(config.seed)
    painters.check_together(config.together)
    film = RenderConfig(pathlib.Path(), config.out, seconds=config.seconds, seed=config.seed, together=config.together)
    if config.out:
        film.validate(config.out.suffix.lower())
    trouble = painters.prepare_graphics() if config.out else None
    jax.config.update("jax_platforms", "cpu")  # one environment is quicker there
    start_jax()
    player = shipped.find(pathlib.Path(config.policy))
    if not config.out:
        from awr_mjx.train.pictures import page  # it imports MuJoCo, which looks for graphics but once

        page.serve(player, config.host, config.port, config.seed, together=config.together)
    elif trouble and not hasattr(player.env, "picture"):
        raise trouble
    else:
        render(player, film, config.out)
        print(f"{config.out}: {player.config.env} after {player.after}, {config.seconds:g} s")
    return 0


if __name__ == "__main__":
    run_program(main)

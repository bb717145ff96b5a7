"""Writes a trained policy as one file: `python -m train.export --run RUN --out policy.npz`, `.onnx` or `.stablehlo`.

The file holds the policy network, the observation normaliser and what the policy is for. NumPy, onnxruntime or JAX
plays it without this project (`awr_mjx.train.policies`). It is played against JAX before it gets its name.
"""

import dataclasses
import pathlib
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.console.files import replacing
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.jax_setup import start_jax
from awr_mjx.train.engine.player import Player, load_policy
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.task_files import Moved, MovedOption
from awr_mjx.train.policies import formats, shipped
from awr_mjx.train.policies.formats import KINDS, Kind

CHECKS = 1000


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """What to export."""

    run: pathlib.Path
    """Run folder."""
    out: pathlib.Path | None = None
    """File to write; RUN/policy.<format> if not given."""
    step: Step = None
    """Checkpoint, by its env steps, or `best` for that of the best mode return; the newest sound one if not given."""
    format: Literal["npz", "onnx", "stablehlo"] | None = None
    """What `out` ends in, or npz, if not given: for NumPy (npz_player.py), onnxruntime and others, or `jax.export`."""
    moved: MovedOption = dataclasses.field(default_factory=Moved)
    """Where files of the task are now that have been moved."""

    def kind(self) -> str:
        """The format to write.

        Raises:
          UserError: if `out` ends in something else.
        """
        ending = self.out.suffix.removeprefix(".") if self.out else self.format or "npz"
        chosen = self.format or ending
        if chosen not in KINDS:
            raise UserError(f"out must end in {', '.join(f'.{name}' for name in KINDS)}, not {self.out}")
        if ending != chosen:
            raise UserError(f"out must end in .{chosen}, not {'.' + ending if ending else 'nothing'}: {self.out}")
        return chosen


def check_observations(player: Player, count: int) -> np.ndarray:
    """`count` observations, float32 [count, O]: as in training, but every fifth is far outside of it."""
    stats, rng = player.learned.normalizer, np.random.default_rng(0)
    spread = np.where(np.arange(count) % 5 == 0, 100.0, 1.0)[:, None]
    noise = rng.standard_normal((count, player.env.observation_size))
    obs = np.asarray(stats.mean) + np.sqrt(np.asarray(stats.variance)) * spread * noise
    return obs.astype(np.float32)


def difference(player: Player, kind: Kind, path: pathlib.Path) -> float:
    """The largest difference between JAX's and the file's network outputs on `CHECKS` observations.

    In units of the largest output if that is above 1: the rounding errors of float32 grow with it.
    """
    obs = check_observations(player, CHECKS)
    outputs = formats.jax_outputs(player, jnp.asarray(obs))
    want = np.asarray(outputs.get("logits", outputs["action"]))
    with np.errstate(all="ignore"):  # a policy that diverged gives NaN, which is more than any tolerance
        got = kind.play(path, obs)
        return float(np.max(np.abs(got - want)) / np.maximum(np.max(np.abs(want)), 1.0))


def export(player: Player, out: pathlib.Path) -> float:
    """Writes the policy of `player` to `out`, whose ending says how, and returns the `difference` found.

    Raises:
      UserError: if the file cannot be written, or does not play as JAX does; what was at `out` before stays.
      BrokenTask: if the task's names are not as many as what they name.
    """
    formats.metadata(player)  # of every kind, also of one that has it in a file beside it
    kind = KINDS[out.suffix.removeprefix(".")]
    with replacing(out) as part:
        kind.write(player, part)
        found = difference(player, kind, part)
        if not found <= kind.tolerance:  # NaN too
            raise UserError(
                f"not exported: outputs differ from JAX's by up to {found:.3g}, more than {kind.tolerance:g} "
                "(nan: the policy itself has numbers that are not finite; try an earlier checkpoint with --step)"
            )
    return found


def main() -> int:
    """Writes the file and prints how well it agrees with JAX."""
    config = cli.parse(ExportConfig, cli.arguments(), prog=program("export"), description="Export a run's policy.")
    shipped.refuse(config.run)
    settings.read(config.run)  # a folder that is no run is found before its default file is
    name = config.kind()
    out = config.out or config.run / f"policy.{name}"
    # One policy on a thousand observations: not worth an accelerator, which may be busy training.
    jax.config.update("jax_platforms", "cpu")
    start_jax()
    player = load_policy(config.run, config.step, config.moved)
    found = export(player, out)
    beside = formats.write_metadata(player, out)
    size, kind = out.stat().st_size / 1000, KINDS[name]
    print(f"{out}: {player.config.env} after {player.after}, {size:.1f} kB")
    if beside:
        print(f"{beside}: what the policy is for")
    print(f"played on {CHECKS:,} observations with {kind.player}: outputs differ from JAX's by at most {found:.1e}")
    print(f"play it: {kind.how.format(name=out.name)}")
    return 0


if __name__ == "__main__":
    run_program(main)

"""Writes a trained policy as one file that needs no JAX: `python -m train.export --run RUN --out policy.npz`.

The file holds the policy network, the observation normaliser and what the policy is for; `train/npz_player.py` plays it
with NumPy alone. It is played against JAX before it gets its name.
"""

import dataclasses
import json
import pathlib
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx import normalizer
from train import cli, npz_player
from train import config as settings
from train.errors import UserError, run_program
from train.files import replacing
from train.runs import Player, load_policy, start_jax

TOLERANCE = 1e-5  # on actions in units of [-1, 1], or on logits; in units of the largest one if that is above 1
CHECKS = 1000


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """What to export."""

    run: pathlib.Path
    """Run folder."""
    out: pathlib.Path | None = None
    """File to write; RUN/policy.npz if not given."""
    step: int | None = None
    """Checkpoint, by its env steps; the newest sound one if not given."""
    format: Literal["npz"] = "npz"
    """npz: NumPy arrays, played by train/npz_player.py."""


def metadata(player: Player) -> dict[str, Any]:
    """What the policy is for, as plain JSON values; units: `control_dt` in seconds per action."""
    config, env = player.config.awr, player.env
    return {
        "format": npz_player.FORMAT,
        "format_version": npz_player.VERSION,
        "task": player.config.env,
        "observation_size": env.observation_size,
        "action_size": env.action_size,
        "discrete": env.discrete,
        "action_low": None if env.discrete else -1.0,
        "action_high": None if env.discrete else 1.0,
        "control_dt": env.dt,
        "hidden": list(config.policy_hidden),
        "activation": config.activation,
        "obs_clip": config.obs_clip,
        "obs_std_min": normalizer.STD_MIN,
        "env_steps": player.env_steps,
    }


def arrays(player: Player) -> dict[str, np.ndarray]:
    """The float32 arrays of the file: `obs_mean` and `obs_std` [O] (floor applied), `<layer>_kernel` [I, K],
    `<layer>_bias` [K], and `action_std` [A] unless the actions are discrete."""
    policy, stats = player.learned.policy, player.learned.normalizer
    found = {
        "obs_mean": np.asarray(stats.mean),
        "obs_std": np.maximum(np.sqrt(np.asarray(stats.variance)), np.float32(normalizer.STD_MIN)),
    }
    for layer, values in policy["net"].items():
        found |= {f"{layer}_{name}": np.asarray(value) for name, value in values.items()}
    if not player.env.discrete:
        found["action_std"] = np.asarray(player.learner.action_std(policy))
    return found


def write(player: Player, path: pathlib.Path) -> None:
    """Writes the policy of `player` to `path`; the metadata is a JSON string in an array of its own."""
    content: dict[str, Any] = {"metadata": np.array(json.dumps(metadata(player))), **arrays(player)}
    with path.open("wb") as file:  # an open file, because NumPy adds .npz to a name that has another ending
        np.savez(file, **content)


def check_observations(player: Player, count: int) -> np.ndarray:
    """`count` observations, float32 [count, O]: as in training, but every fifth is far outside of it."""
    stats, rng = player.learned.normalizer, np.random.default_rng(0)
    spread = np.where(np.arange(count) % 5 == 0, 100.0, 1.0)[:, None]
    noise = rng.standard_normal((count, player.env.observation_size))
    obs = np.asarray(stats.mean) + np.sqrt(np.asarray(stats.variance)) * spread * noise
    return obs.astype(np.float32)


def difference(player: Player, path: pathlib.Path) -> float:
    """The largest difference between JAX's and the file's network outputs on `CHECKS` observations.

    In units of the largest output if that is above 1: the rounding errors of float32 grow with it.
    """
    obs = check_observations(player, CHECKS)
    with jax.default_matmul_precision("highest"):
        policy = player.learner.policy(player.learned.policy, player.learned.normalizer, jnp.asarray(obs))
    want = np.asarray(policy.logits if player.env.discrete else policy.mode())  # type: ignore[attr-defined]
    with np.errstate(all="ignore"):  # a policy that diverged gives NaN, which is more than any tolerance
        got = npz_player.load(path).output(obs)
        return float(np.max(np.abs(got - want)) / np.maximum(np.max(np.abs(want)), 1.0))


def export(player: Player, out: pathlib.Path) -> float:
    """Writes the policy of `player` to `out` and returns the `difference` found.

    Raises:
      UserError: if the file cannot be written, or does not play as JAX does; what was at `out` before stays.
    """
    with replacing(out) as part:
        write(player, part)
        found = difference(player, part)
        if not found <= TOLERANCE:  # NaN too
            raise UserError(
                f"not exported: outputs differ from JAX's by up to {found:.3g}, more than {TOLERANCE:g} "
                "(nan: the policy itself has numbers that are not finite; try an earlier checkpoint with --step)"
            )
    return found


def main() -> int:
    """Writes the file and prints how well it agrees with JAX."""
    config = cli.parse(
        ExportConfig, cli.arguments(), prog="python -m train.export", description="Export a run's policy."
    )
    settings.read(config.run)  # a folder that is no run is found before its default file is
    out = config.out or config.run / f"policy.{config.format}"
    if out.suffix != f".{config.format}":
        raise UserError(f"out must end in .{config.format}, not {out.suffix or 'nothing'}: {out}")
    # One policy on a thousand observations: not worth an accelerator, which may be busy training.
    jax.config.update("jax_platforms", "cpu")
    start_jax()
    player = load_policy(config.run, config.step)
    found = export(player, out)
    size = out.stat().st_size / 1000
    print(f"{out}: {player.config.env} after {player.env_steps:,} env steps, {size:.1f} kB")
    print(f"played on {CHECKS:,} observations with NumPy: outputs differ from JAX's by at most {found:.1e}")
    print(f"play it: copy {pathlib.Path(npz_player.__file__).name} beside it, then load({out.name!r})(obs)")
    return 0


if __name__ == "__main__":
    run_program(main)

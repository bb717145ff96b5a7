"""The paper's authors' trained policies in `paper/*`: `python -m docs.studies.author_policies FOLDER`.

FOLDER holds `ant.npz`, `hopper.npz` or `humanoid.npz`: the authors' trained networks, taken out of the checkpoints that
they published with their code (arrays `kernel_0`, `bias_0`, ..., `kernel_out`, `bias_out`, `obs_mean`, `obs_std`,
`action_mean`, `action_std`). Plays whole episodes of the mode action and prints the mean returns beside the paper's.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from awr_mjx.envs import registry
from awr_mjx.train.console import cli
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.engine import jax_setup

LAYERS = tuple(f"{part}_{layer}" for part in ("kernel", "bias") for layer in (0, 1, "out"))
NUMBERS = (*LAYERS, "obs_mean", "obs_std", "action_mean", "action_std")
TASKS = {"ant": 5067, "hopper": 3405, "humanoid": 4996}  # and the paper's mean returns (table 1)


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What to play."""

    folder: Annotated[pathlib.Path, tyro.conf.Positional]
    """Folder of the authors' policies."""
    episodes: int = 16
    """Episodes per policy."""


def load(path: pathlib.Path) -> Callable[[Any], Any]:
    """Returns the mode action of the policy in `path`, in Gym's units: observation [O] of v2 to action [A].

    It takes arrays of NumPy and of JAX.

    Raises:
      UserError: if the file is not such a policy.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            p = {name: file[name].astype(np.float32) for name in NUMBERS}
    except Exception as error:  # whatever NumPy makes of a file that is something else
        raise UserError(f"{path} is not a policy of the authors: {error}") from error

    size = len(p["obs_mean"])

    def act(obs: Any) -> Any:
        if isinstance(obs, np.ndarray):  # Ant-v2's 111 observations end in 84 zeros, which may be left out
            obs = np.pad(obs, (0, size - len(obs)))
        h = (obs - p["obs_mean"]) / p["obs_std"]
        for layer in (0, 1):
            h = h @ p[f"kernel_{layer}"] + p[f"bias_{layer}"]
            h = h * (h > 0)
        return (h @ p["kernel_out"] + p["bias_out"]) * p["action_std"] + p["action_mean"]

    return act


def play(name: str, act: Callable[[Any], Any], episodes: int) -> np.ndarray:
    """Returns the returns [E] of one whole episode each in E environments of `paper/<name>`."""
    # Ant's contact forces are observed as the zeros that they were, so that the sizes are the authors'.
    env: Any = registry.make(f"paper/{name}", registry.TaskOptions(full_obs=name == "ant"))

    def step(carry: Any, _: None) -> Any:
        state, total, alive = carry
        state = env.step(state, act(state.obs) / env.ctrl_limit)
        return (state, total + alive * state.reward, alive * (1 - state.done)), None

    def episode(key: jax.Array) -> jax.Array:
        start = (env.reset(key), jnp.float32(0), jnp.float32(1))
        return jax.lax.scan(step, start, length=env.episode_length)[0][1]

    return np.asarray(jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(0), episodes)))


def main() -> int:
    """Prints a row per policy."""
    description = (__doc__ or "").strip()
    prog = "python -m docs.studies.author_policies"
    config = cli.parse(StudyConfig, cli.arguments(), prog=prog, description=description)
    if config.episodes <= 0:
        raise UserError(f"episodes must be a positive number, not {config.episodes}")
    found = [name for name in TASKS if (config.folder / f"{name}.npz").is_file()]
    if not found:
        raise UserError(f"{config.folder} holds none of {', '.join(f'{name}.npz' for name in TASKS)}")
    jax_setup.start_jax()
    print("| task | here | smallest | paper |\n|---|---|---|---|")
    for name in found:
        returns = play(name, load(config.folder / f"{name}.npz"), config.episodes)
        here = f"{returns.mean():.0f} ± {returns.std():.0f} | {returns.min():.0f}"
        print(f"| paper/{name} | {here} | {TASKS[name]} |", flush=True)
    return 0


if __name__ == "__main__":
    run_program(main)

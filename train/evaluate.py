"""Plays whole episodes of the mode action: `python -m train.evaluate --run RUN --episodes 100`."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.learner import Learner
from awr_mjx.normalizer import Normalizer
from envs.base import Env
from envs.vector import all_finite, select, strong
from train import cli
from train.errors import UserError, run_program
from train.loop import FIRST, SAME, share_out
from train.runs import load_policy, start_jax, write_json

Evaluator = Callable[[Any, Normalizer, jax.Array], tuple[jax.Array, jax.Array]]


def make_evaluator(env: Env, learner: Learner, episodes: int, mesh: jax.sharding.Mesh | None = None) -> Evaluator:
    """A jitted function (policy parameters, normaliser, key) -> returns float32 [E], lengths int32 [E] of E episodes.

    All episodes start afresh, at once, and each is played to its own end: failure, time limit, or a number that is not
    finite, which ends it where it is. The devices of `mesh`, if given, share them.
    """

    def play(policy: Any, stats: Normalizer, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        count = keys.shape[0]

        def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            time, state, alive, returns, lengths = carry
            action = learner.policy(policy, stats, state.obs).mode()
            stepped = strong(jax.vmap(env.step)(state, action))
            finite = all_finite(stepped)
            returns = returns + jnp.where(alive & finite, stepped.reward, 0.0)
            lengths = lengths + alive
            return time + 1, select(finite, stepped, state), alive & finite & (stepped.done == 0), returns, lengths

        def unfinished(carry: tuple[Any, ...]) -> jax.Array:
            return (carry[0] < env.episode_length) & carry[2].any()

        state = strong(jax.vmap(env.reset)(keys))
        start = (jnp.int32(0), state, jnp.ones(count, bool), jnp.zeros(count), jnp.zeros(count, jnp.int32))
        *_, returns, lengths = jax.lax.while_loop(unfinished, step, start)
        return returns, lengths

    program = share_out(play, mesh, (SAME, SAME, FIRST), (FIRST, FIRST)) if mesh else jax.jit(play)

    def evaluate(policy: Any, stats: Normalizer, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key, episodes)
        if mesh:  # the devices play equally many; what is too many is not counted
            keys = jnp.concatenate([keys, keys[: -episodes % mesh.size]])
        return jax.tree.map(lambda x: x[:episodes], program(policy, stats, keys))

    return evaluate


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate."""

    run: pathlib.Path
    """Run folder."""
    episodes: int = 100
    """Whole episodes to play, all at once."""
    seed: int = 0
    """Start states follow from this."""
    step: int | None = None
    """Checkpoint, by its env steps; the newest sound one if not given."""
    out: pathlib.Path | None = None
    """JSON file to write; RUN/evaluation.json if not given."""


def main() -> int:
    """Prints mean and std of the returns and writes them, one by one too, as JSON."""
    config = cli.parse(
        EvaluateConfig, cli.arguments(), prog="python -m train.evaluate", description="Evaluate a run's mode action."
    )
    if config.episodes <= 0:
        raise UserError(f"episodes must be a positive number, not {config.episodes}")
    start_jax()
    player = load_policy(config.run, config.step)
    evaluator = make_evaluator(player.env, player.learner, config.episodes)
    learned = player.learned
    returns, lengths = map(np.asarray, evaluator(learned.policy, learned.normalizer, jax.random.key(config.seed)))
    result = {
        "env": player.config.env,
        "env_steps": player.env_steps,
        "episodes": config.episodes,
        "seed": config.seed,
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        "steps_mean": float(lengths.mean()),
        "returns": [float(x) for x in returns],
    }
    out = config.out or config.run / "evaluation.json"
    write_json(out, result)
    print(
        f"{result['env']} after {player.env_steps:,} env steps: mode return {result['return_mean']:.1f} ± "
        f"{result['return_std']:.1f} over {config.episodes} episodes of {result['steps_mean']:.0f} steps on average"
    )
    print(json.dumps({k: v for k, v in result.items() if k != "returns"}))
    return 0


if __name__ == "__main__":
    run_program(main)

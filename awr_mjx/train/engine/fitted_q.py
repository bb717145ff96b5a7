"""What a run's policy would earn, estimated from logged data alone."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.algorithm import normalizer
from awr_mjx.algorithm.fitted_q import FittedQ, FittedQConfig, FittedQState
from awr_mjx.train.console.errors import Failed
from awr_mjx.train.datasets import packing
from awr_mjx.train.datasets.choice import split
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine.player import Player
from awr_mjx.train.engine.streams import stream

DRAWS = 16  # of the policy's actions in a first observation, where they are drawn
RESAMPLES = 2000  # for the interval
STEPS_LEAST = 8  # of a round
WORTH = (
    "such an estimate can rank policies at best, not tell their returns, and it is blind where the data have no "
    "actions like the policy's"
)

Tell = Callable[[float], None]  # is told the share that is done


def evaluate(
    player: Player, found: DataSet, share: float, config: FittedQConfig, sample: bool, seed: int, tell: Tell
) -> dict[str, Any]:
    """The estimate of the policy's discounted return, and what it is made of, as JSON values by name.

    Q is learned from the set without a `share` of its episodes, in whose first observations it is then asked; with
    share 0 from all, and asked in all. The policy acts by its mode, or by a `sample`.

    Raises:
      UserError: if the set has too few episodes for that.
      Failed: if what was learned is not finite.
    """
    (learned,), held_out = split([found], share, seed, "give --episodes_held_out 0")
    asked = held_out[0] if held_out else found
    act = _actor(player, found, sample)
    stats, clip = player.learned.normalizer, player.learner.config.obs_clip
    choices = player.learner.action_size if found.discrete else 0
    method = FittedQ(config, act, lambda obs: normalizer.normalize(stats, obs, clip), choices)
    ring = jax.device_put(packing.packed([learned]))
    weights = jnp.asarray(_resampled(learned, ring, config.networks, seed))
    key = stream(seed, "fitted_q")
    state, loss = jax.jit(method.init)(ring, key), np.zeros(config.networks)
    fit = jax.jit(method.fit, donate_argnums=0)
    for i in range(config.rounds):
        state, loss = fit(state, ring, weights, jax.random.fold_in(key, i))
        tell((i + 1) / config.rounds)
    q = _first(method, state, asked, act, DRAWS if sample else 1, jax.random.fold_in(key, config.rounds))
    if not np.isfinite(q).all():
        raise Failed("the evaluation has diverged: its Q is not finite; give a smaller --lr")
    low, high = interval(q, np.random.default_rng([seed, 2]))
    gains = discounted(asked, config.gamma)
    least, most = (
        float(one) / (1 - config.gamma) for one in (min(0, found.rewards.min()), max(0, found.rewards.max()))
    )
    return {
        "estimate": float(q.mean()),
        "low": low,
        "high": high,
        "by_network": q.mean(axis=1).tolist(),
        "behaviour": float(gains.mean()),
        "behaviour_std": float(gains.std()),
        "least_possible": least,
        "most_possible": most,
        "episodes": len(asked.steps),
        "episodes_learned_from": len(learned.steps),
        "gamma": config.gamma,
        "actions": "sampled" if sample else "mode",
        "seed": seed,
        "gradient_steps": config.rounds * config.steps_of_a_round,
        "loss": float(np.mean(loss)),
        "checksum": found.checksum(),
    }


def doubts(seen: dict[str, Any], config: FittedQConfig) -> list[str]:
    """Lines on what shows in an estimate that it is wrong."""
    found = []
    if not seen["least_possible"] <= seen["low"] <= seen["high"] <= seen["most_possible"]:
        found.append(
            f"no policy can earn less than {seen['least_possible']:.4g} or more than {seen['most_possible']:.4g} with "
            "the rewards of this set, so the estimate is wrong, and its interval too"
        )
    if config.steps_of_a_round < STEPS_LEAST:
        found.append(
            f"{config.steps_of_a_round} steps in each of {config.rounds} rounds are too few to fit anything: give "
            f"--steps {STEPS_LEAST * config.rounds:,} or more, or a smaller --gamma"
        )
    return found


def _actor(player: Player, found: DataSet, sample: bool) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy; numbers no further out than any in the set, beyond which Q would be made up."""
    learner, learned = player.learner, player.learned

    def act(obs: jax.Array, key: jax.Array) -> jax.Array:
        policy = learner.policy(learned.policy, learned.normalizer, obs)
        action = policy.sample(key) if sample else policy.mode()
        return action if found.discrete else jnp.clip(action, found.actions.min(axis=0), found.actions.max(axis=0))

    return act


def _resampled(found: DataSet, ring: Any, networks: int, seed: int) -> np.ndarray:
    """How often each row [K, C, N] is in each network's resample of the episodes; these are drawn with replacement."""
    episodes = len(found.steps)
    counts = np.random.default_rng([seed, 1]).multinomial(episodes, np.full(episodes, 1 / episodes), networks)
    of_steps = counts[:, found.episode_of()].astype(np.float32)
    weights = np.zeros((networks, ring.rows.valid.size), np.float32)
    weights[:, np.asarray(ring.places)] = of_steps / of_steps.mean(axis=1, keepdims=True)
    return weights.reshape(networks, *ring.rows.valid.shape)


def _first(method: FittedQ, state: FittedQState, found: DataSet, act: Any, draws: int, key: jax.Array) -> np.ndarray:
    """Q of the policy's action in the first observation of each of E episodes, float64 [K, E]; the mean of `draws`."""
    obs = jnp.asarray(found.observations[found.starts + np.arange(len(found.steps))])
    ask = jax.jit(lambda state, key: method.q(state, obs, act(obs, key)))
    return np.mean([np.asarray(ask(state, one), np.float64) for one in jax.random.split(key, draws)], axis=0)


def interval(q: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Where 95 % of the means lie of `q` [K, E] over resamples of the E episodes, each by one of the K networks."""
    networks, episodes = q.shape
    means = [q[rng.integers(networks), rng.integers(episodes, size=episodes)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def discounted(found: DataSet, gamma: float) -> np.ndarray:
    """float64 [E], the discounted sums of rewards, as far as the episodes were recorded."""
    inside = np.arange(len(found.rewards)) - np.repeat(found.starts, found.steps)
    return np.add.reduceat(found.rewards * gamma**inside, found.starts)

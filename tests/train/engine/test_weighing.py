"""Weights of logged steps are those that the run's own learner would give them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import packing
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine.player import Player
from awr_mjx.train.engine.weighing import refuse_without_values, weigh
from tests.train.datasets.made import episodes
from tests.trained import make_player

KINDS = ((4, "terminated"), (3, "truncated"), (5, "both"), (2, "cut off"), (9, "truncated"), (1, "terminated"))


def cartpole() -> DataSet:
    found = episodes(*KINDS, *KINDS, size=4, actions=0)
    return dataclasses.replace(found, actions=found.actions % 2)


def player_of(**awr: Any) -> Player:
    """A player whose values are not 0 where they are in units of the returns."""
    found = make_player("cartpole", **awr)
    value = dict(found.learned.value)
    if "units" in value:
        value["units"] = jnp.array([3.0, 2.0])
        value["out"] = {"kernel": 50.0 * value["out"]["kernel"], "bias": value["out"]["bias"] + 0.1}
    return dataclasses.replace(found, learned=found.learned.replace(value=value))  # type: ignore[attr-defined]


def plain_returns(found: DataSet, v: np.ndarray, gamma: float, lam: float, plain: bool) -> np.ndarray:
    """TD(lambda) returns by the definition, a loop from every end; `plain` sums take a time limit for the end."""
    out = np.zeros(len(found.rewards))
    for i, (start, steps) in enumerate(zip(found.starts, found.steps, strict=True)):
        for t in reversed(range(steps)):
            last, after = t == steps - 1, v[start + i + t + 1]
            if last:
                rest = 0.0 if found.terminated[i] or plain else after
            else:
                rest = out[start + t + 1] if plain else (1 - lam) * after + lam * out[start + t + 1]
            out[start + t] = found.rewards[start + t] + gamma * rest
    return out


@pytest.mark.parametrize(
    ("awr", "beta"),
    [
        ({"gamma": 0.9, "lam": 0.8, "beta": 0.5, "weight_max": 3.0}, 0.5),
        ({"gamma": 0.9, "lam": 0.8, "beta": 0.5, "weight_max": 3.0, "value_units": "returns"}, 0.5),
        ({"gamma": 0.9, "returns": "monte_carlo", "advantage": "raw", "beta": 2.0}, 2.0),
        ({"gamma": 0.95, "baseline": False, "target_ess": 0.5}, None),
    ],
)
def test_weights_are_those_of_a_plain_loop(awr: dict[str, Any], beta: float | None) -> None:
    found, player = cartpole(), player_of(**awr)
    columns, seen = weigh(player, found)
    config = player.config.awr
    v = np.asarray(player.learner.value(player.learned, jnp.asarray(found.observations)), np.float64)
    assert np.ptp(v) > 0.1
    g = plain_returns(found, v, config.gamma, config.lam, config.returns == "monte_carlo")
    advantages = g - v[found.acted_on()] if config.baseline else g
    scaled = advantages
    if config.advantage == "standardized":
        unit = 2.0 if config.value_units == "returns" else 1.0
        scaled = (advantages - advantages.mean()) / (advantages.std() + 1e-5 * unit)
    weights = np.exp(np.minimum(scaled / seen["beta"], np.log(config.weight_max)))

    np.testing.assert_array_equal(columns["episode"], np.repeat(np.arange(len(found.steps)), found.steps))
    np.testing.assert_array_equal(columns["step"], np.concatenate([np.arange(n) for n in found.steps]))
    for name, want in (("value", v[found.acted_on()]), ("return", g), ("advantage", advantages), ("weight", weights)):
        np.testing.assert_allclose(columns[name], want, rtol=1e-5, atol=2e-5, err_msg=name)
    share = weights.sum() ** 2 / (weights**2).sum() / len(weights)
    assert seen["effective_sample_share"] == pytest.approx(share, rel=1e-4)
    clipped = float((weights > 0.999999 * config.weight_max).mean())
    assert seen["weight_clipped"] == pytest.approx(clipped)
    if beta:
        assert seen["beta"] == pytest.approx(beta)
        assert clipped > 0
    else:  # that at which unclipped weights have the share that was asked for
        free = np.exp(scaled / seen["beta"])
        assert free.sum() ** 2 / (free**2).sum() / len(free) == pytest.approx(0.5, rel=1e-2)


def test_the_learner_regresses_with_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    found, player = cartpole(), player_of(value_lr=1e-30, gamma=0.9)  # so that its values stay as they are
    columns, _ = weigh(player, found)
    ring = jax.tree.map(jnp.asarray, packing.packed([found]))
    used = []

    def regress_policy(state: Any, _: Any, weights: jax.Array, __: Any) -> Any:
        used.append(weights)
        return state, jnp.zeros(())

    monkeypatch.setattr(player.learner, "regress_policy", regress_policy)
    player.learner.update(player.learned, ring, jnp.zeros((ring.rows.valid.shape[1], 4)), jax.random.key(0))
    np.testing.assert_allclose(columns["weight"], np.asarray(used[0]).reshape(-1)[ring.places], rtol=1e-5)
    assert np.ptp(columns["weight"]) > 0.5


@pytest.mark.parametrize("variant", [{"weighting": "uniform"}, {"returns": "monte_carlo", "baseline": False}])
def test_runs_without_values_are_refused(variant: dict[str, Any]) -> None:
    player = make_player("cartpole", value_updates=0, **variant)
    with pytest.raises(UserError, match="RUN has learned no value function"):
        refuse_without_values(player.config.awr, "RUN")

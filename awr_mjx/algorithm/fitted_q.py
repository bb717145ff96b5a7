"""Fitted Q evaluation: what a policy would earn, from data of others (Le, Voloshin, Yue 2019, arXiv 1903.08738).

One more regression: Q(s_t, a_t) is fitted to r_t + gamma Q(s_{t+1}, pi(s_{t+1})), with the Q of the round before on the
right. Several networks learn at once, each from its own resample of the episodes. Their hidden layers are normalised
(LayerNorm): without that, Q climbs on itself where the data have no actions like the policy's.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Key, Shaped

from awr_mjx.algorithm import losses, reduce, replay, returns, static, units
from awr_mjx.algorithm.networks import Mlp
from awr_mjx.algorithm.regression import Params, regress
from awr_mjx.algorithm.static import StaticRing

HORIZONS = 5.0  # rounds in units of 1 / (1 - gamma): gamma^rounds, what the first Q still counts, is then below 0.01
NETWORKS_MOST = 100


@dataclasses.dataclass(frozen=True)
class FittedQConfig:
    """Settings of an evaluation, which costs the same for every discount."""

    gamma: float = 0.99
    """Discount per control step, in [0, 1)."""
    networks: int = 5
    """Networks K."""
    steps: int = 8_000
    """Gradient steps of each network, about."""
    batch_size: int = 256
    """Rows in a minibatch."""
    lr: float = 1e-3
    """Step size of Adam, which falls to 0 as half a cosine."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the networks' hidden layers."""

    @property
    def rounds(self) -> int:
        """How often a regression begins, each on the Q of the one before."""
        return max(1, min(math.ceil(HORIZONS / (1.0 - self.gamma)), self.steps))

    @property
    def steps_of_a_round(self) -> int:
        """Gradient steps of a regression."""
        return math.ceil(self.steps / self.rounds)

    def problems(self) -> list[str]:
        """One line for every setting that makes no sense, saying what to write instead; empty if all is well."""
        rules = {
            "gamma": (0 <= self.gamma < 1, "at least 0 and below 1"),
            "networks": (0 < self.networks <= NETWORKS_MOST, f"from 1 to {NETWORKS_MOST}"),
            "steps": (0 < self.steps < 2**31, "a positive number"),
            "batch_size": (0 < self.batch_size < 2**31, "a positive number"),
            "lr": (0 < self.lr < math.inf, "a positive number"),
        }
        return [
            f"{name} must be {rule}, not {getattr(self, name)}" for name, (holds, rule) in rules.items() if not holds
        ]


@struct.dataclass
class FittedQState:
    """Attributes: `params` and their optimisers' states `opt` of K networks, leaves [K, ...]; the returns' mean and std
    in the data, `centre` and `unit`, float32 [], in whose units the networks speak."""

    params: Params
    opt: Any
    centre: Float[Array, ""]
    unit: Float[Array, ""]


Act = Callable[[Float[Array, "B O"], Key[Array, ""]], Shaped[Array, "B ..."]]


def td_target(
    r_t: Float[Array, "*n"], terminated_t: Bool[Array, "*n"], q_tp1: Float[Array, "*n"], gamma: float
) -> Float[Array, "*n"]:
    """r_t + gamma Q(s_{t+1}, pi(s_{t+1})), all arrays [...]; after a failure, but not at a time limit, r_t alone."""
    return r_t + jnp.where(terminated_t, 0.0, gamma * q_tp1)


class FittedQ:
    """The evaluation of one policy.

    `act` gives the policy's actions for raw observations [B, O], `normalize` what the networks see of these; `choices`
    is how many actions there are, 0 where they are numbers.
    """

    def __init__(
        self,
        config: FittedQConfig,
        act: Act,
        normalize: Callable[[Float[Array, "B O"]], Float[Array, "B O"]],
        choices: int,
    ) -> None:
        self.config, self._act, self._normalize, self._choices = config, act, normalize, choices
        self._net = Mlp(config.hidden, choices or 1, "relu", small_output=True, layer_norm=True)
        self._tx = optax.adam(optax.cosine_decay_schedule(config.lr, config.rounds * config.steps_of_a_round))

    def init(self, ring: StaticRing, key: Key[Array, ""]) -> FittedQState:
        """Networks that give about the mean return of the data in `ring` for everything."""
        rows = ring.rows
        gains, _ = returns.relabel(
            ring, lambda obs: jnp.zeros(obs.shape[:-1]), jnp.zeros_like(rows.obs[0]), self.config.gamma, 1.0
        )
        centre, std = reduce.mean_and_std(gains, rows.valid)
        unit = jnp.maximum(std, jnp.maximum(units.RELATIVE * jnp.abs(centre), units.ABSOLUTE))
        size = rows.obs.shape[-1] + (0 if self._choices else rows.action.shape[-1])
        params = jax.vmap(lambda key: self._net.init(key, jnp.zeros((1, size)))["params"])(
            jax.random.split(key, self.config.networks)
        )
        return FittedQState(params, jax.vmap(self._tx.init)(params), centre, unit)

    def fit(
        self, state: FittedQState, ring: StaticRing, weights: Float[Array, "K C N"], key: Key[Array, ""]
    ) -> tuple[FittedQState, Float[Array, " K"]]:
        """One round: a regression on the Q of `state`.

        Args:
          state: the networks.
          ring: the data.
          weights: what each of its rows counts for each network, [K, C, N], of mean 1.
          key: all randomness follows from it.

        Returns:
          Returns the new state and the networks' mean losses [K], in units of the returns' variance.
        """
        config, rows = self.config, ring.rows
        key_places, key_act = jax.random.split(key)
        places = static.draw(ring, key_places, config.steps_of_a_round, config.batch_size)
        # No sum of discounted rewards is beyond these, and so a Q cannot climb on itself. After a failure there is 0.
        reward = jnp.where(rows.valid, rows.reward, 0.0)
        least, most = (jnp.minimum(reward.min(), 0.0), jnp.maximum(reward.max(), 0.0))
        least, most = least / (1.0 - config.gamma), most / (1.0 - config.gamma)

        def one(params: Params, opt: Any, weight: Float[Array, "C N"]) -> tuple[Params, Any, Array]:
            def read(places: replay.Places) -> replay.Batch:
                time, env = places.time, places.env
                obs_tp1 = rows.obs[time + 1, env]  # every valid row of such a ring has its successor in the next
                key = jax.random.fold_in(jax.random.fold_in(key_act, time[0]), env[0])  # another for every minibatch
                action_tp1 = self._act(obs_tp1, key)
                q_tp1 = self._output(params, obs_tp1, action_tp1) * state.unit + state.centre
                target = td_target(rows.reward[time, env], rows.terminated[time, env], q_tp1, config.gamma)
                target = (jnp.clip(target, least, most) - state.centre) / state.unit
                batch = replay.read(ring, places, weight=weight)
                return dataclasses.replace(batch, extra=batch.extra | {"target": target})

            def loss(params: Params, batch: replay.Batch) -> Array:
                error = batch.extra["target"] - self._output(params, batch.obs, batch.action)
                return losses.weighted_loss(0.5 * jnp.square(error), batch.extra["weight"], batch.valid)

            return regress(loss, self._tx, params, opt, read, places)

        params, opt, loss = jax.vmap(one)(state.params, state.opt, weights)
        return FittedQState(params, opt, state.centre, state.unit), loss

    def q(self, state: FittedQState, obs: Float[Array, "B O"], action: Shaped[Array, "B ..."]) -> Float[Array, "K B"]:
        """Q(s, a) of each network [K, B], in units of reward, for raw observations [B, O] and their actions."""
        found = jax.vmap(lambda params: self._output(params, obs, action))(state.params)
        return found * state.unit + state.centre

    def _output(self, params: Params, obs: Array, action: Array) -> Array:
        """The output [B] of one network."""
        seen = self._normalize(obs)
        if self._choices:
            every: Any = self._net.apply({"params": params}, seen)
            return jnp.take_along_axis(every, action[:, None], axis=-1)[:, 0]
        alone: Any = self._net.apply({"params": params}, jnp.concatenate([seen, action], axis=-1))
        return alone[:, 0]

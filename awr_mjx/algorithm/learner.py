"""One AWR iteration's learning: relabel the ring, regress the value, relabel, regress the policy (paper, algorithm 1).

Everything that learning needs is a `LearnerState`; a `Learner` is the pure functions over it, bound to a config and to
the sizes of a task.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from awr_mjx.algorithm import categorical, episodes, losses, normalizer, reduce, replay, returns, units
from awr_mjx.algorithm.config import STEPS_LAST, AwrConfig
from awr_mjx.algorithm.distributions import Categorical, Distribution, Gaussian
from awr_mjx.algorithm.networks import Mlp
from awr_mjx.algorithm.regression import Params, regress

Metrics = dict[str, Float[Array, ""]]
STEP_LEAST, STEP_LEAST_CHANGE = 1e-3, 0.8  # of a policy step that follows `target_kl`: over all, per iteration
STEP_FIRST = 0.03  # its start: a whole step after what the critic does not know yet sets off in a direction of chance
KL_ROWS = 4096  # rows on which KL(new || old) is estimated each iteration


@struct.dataclass
class LearnerState:
    """Attributes: `policy` and `value` parameters, their optimisers' states, the share of `policy_lr` that the policy
    takes as its step (float32 [], 1 unless `target_kl` is set), the env steps learned from (int32 [], no more than
    `STEPS_LAST`), and the observation `normalizer`. Where values are in units of the returns, `value` has their mean
    and std beside the network (`units`, float32 [2], zeros before the first)."""

    policy: Params
    value: Params
    policy_opt: optax.OptState
    value_opt: optax.OptState
    policy_step: Float[Array, ""]
    env_steps: Int[Array, ""]
    normalizer: normalizer.Normalizer


Draw = Callable[..., replay.Places]  # (ring, key, *shape) -> places [*shape]


class Learner:
    """The algorithm for observations of size O and actions of size A (dimensions, or choices if `discrete`).

    `draw` says where minibatches are taken from; by default from everywhere in the ring that counts.
    """

    def __init__(
        self, config: AwrConfig, observation_size: int, action_size: int, discrete: bool, draw: Draw | None = None
    ) -> None:
        self.config, self.discrete = config, discrete
        self.observation_size, self.action_size = observation_size, action_size
        self._policy_net = Mlp(config.policy_hidden, action_size, config.activation, small_output=True)
        self._own_units = config.value_units == "returns"
        outputs = config.value_bins or 1
        self._value_net = Mlp(config.value_hidden, outputs, config.activation, self._own_units, config.value_layer_norm)
        steps = config.policy_lr_steps
        self._policy_tx = self._optimizer(
            optax.cosine_decay_schedule(config.policy_lr, steps) if steps else config.policy_lr
        )
        self._value_tx = self._optimizer(config.value_lr)
        self._draw = draw or (replay.draw if config.returns == "td_lambda" else replay.draw_valid)

    def _optimizer(self, lr: float | Array | optax.Schedule) -> optax.GradientTransformation:
        return optax.adam(lr) if self.config.optimizer == "adam" else optax.sgd(lr, self.config.momentum)

    def init(self, key: Key[Array, ""]) -> LearnerState:
        """Fresh networks, optimisers and normaliser."""
        key_policy, key_value = jax.random.split(key)
        obs = jnp.zeros((1, self.observation_size))
        policy = {"net": self._policy_net.init(key_policy, obs)["params"]}
        if self.config.learn_std and not self.discrete:
            above = self.config.std - self.config.std_min
            raw = math.log(math.expm1(above)) if above < 30 else above  # inverse of softplus, to the last bit
            policy["raw_std"] = jnp.full(self.action_size, raw, jnp.float32)
        elif self._scheduled_std:
            policy["std"] = jnp.asarray(self.config.std, jnp.float32)
        value = dict(self._value_net.init(key_value, obs)["params"])
        if self._own_units:
            value["units"] = jnp.zeros(2)
        return LearnerState(
            policy=policy,
            value=value,
            policy_opt=self._policy_tx.init(policy),
            value_opt=self._value_tx.init(value),
            policy_step=jnp.asarray(STEP_FIRST if self.config.target_kl else 1.0, jnp.float32),
            env_steps=jnp.zeros((), jnp.int32),
            normalizer=normalizer.init(obs.shape[-1]),
        )

    @property
    def _scheduled_std(self) -> bool:
        return self.config.std_end > 0 and not self.discrete

    def _places(self, state: LearnerState, ring: replay.Ring, key: Array, *shape: int) -> replay.Places:
        """Where minibatches are taken from."""
        if not ring.kept:
            return self._draw(ring, key, *shape)
        left = 1.0 - state.env_steps / self.config.data_share_steps if self.config.data_share_steps else 1.0
        return replay.draw_shared(ring, key, self.config.data_share * jnp.maximum(left, 0.0), *shape)

    @property
    def batch_share(self) -> int:
        """Rows of a minibatch that this device draws from its share of the ring."""
        return self.config.batch_size // reduce.devices()

    def observe(self, state: LearnerState, rows: replay.Rows) -> LearnerState:
        """Lets the normaliser see new `rows` [T, N, ...]."""
        seen = normalizer.update(state.normalizer, rows.obs, rows.valid, self.config.normalizer_steps)
        return state.replace(normalizer=seen)  # type: ignore[attr-defined]

    def policy(self, params: Params, stats: normalizer.Normalizer, obs: Float[Array, "*batch O"]) -> Distribution:
        """pi(.|s) for raw observations [..., O]."""
        output: Any = self._policy_net.apply({"params": params["net"]}, self._normalize(stats, obs))
        return Categorical(output) if self.discrete else Gaussian(output, self.action_std(params))

    def action_std(self, params: Params) -> Float[Array, " A"]:
        """The Gaussian policy's std [A] in units of [-1, 1]: fixed, scheduled, or the floor plus softplus(x)."""
        if self.config.learn_std:
            return self.config.std_min + jax.nn.softplus(params["raw_std"])
        # A std that is scheduled is kept with the policy's parameters, which thus say all of it, but has no gradient.
        std = lax.stop_gradient(params["std"]) if self._scheduled_std else self.config.std
        return jnp.full(self.action_size, std)

    def horizon(self, state: LearnerState) -> Float[Array, ""]:
        """The horizon 1 / (1 - gamma) [] of the discount in use, in control steps."""
        first, last = 1.0 / (1.0 - self.config.gamma), 1.0 / (1.0 - self.config.gamma_end)
        late = jnp.logical_and(self.config.gamma_end > 0, state.env_steps >= self.config.gamma_steps)
        return jnp.where(late, last, first)

    def value(self, state: LearnerState, obs: Float[Array, "*batch O"]) -> Float[Array, "*batch"]:
        """V(s) in units of reward, for raw observations [..., O]."""
        centre, unit = self._centre_and_unit(state)
        output = self._value_output(state.value, state.normalizer, obs)
        return (categorical.mean(output) if self.config.value_bins else output[..., 0]) * unit + centre

    def _centre_and_unit(self, state: LearnerState) -> tuple[Array, Array] | tuple[float, Array]:
        """What an output 0 of the value network means, and how much more an output 1."""
        return (state.value["units"][0], state.value["units"][1]) if self._own_units else (0.0, self.horizon(state))

    def _value_output(self, params: Params, stats: normalizer.Normalizer, obs: Array) -> Array:
        """The value network's outputs f(s) [..., 1], or the logits of its bins [..., K]."""
        net = {name: layer for name, layer in params.items() if name != "units"}
        output: Any = self._value_net.apply({"params": net}, self._normalize(stats, obs))
        return output

    def _normalize(self, stats: normalizer.Normalizer, obs: Array) -> Array:
        return normalizer.normalize(stats, obs, self.config.obs_clip)

    def update(
        self, state: LearnerState, ring: replay.Ring, live_obs: Float[Array, "N O"], key: Key[Array, ""]
    ) -> tuple[LearnerState, Metrics]:
        """Regresses value and policy on the ring: algorithm 1, lines 6 and 7.

        Args:
          state: what was learned so far.
          ring: the replay ring, new rows already in it.
          live_obs: observation [N, O] of every environment now (the successor of the newest row).
          key: randomness of this iteration's minibatches.
        """
        if self.config.returns == "td_lambda":
            return self._regress(state, ring, live_obs, key)
        seen = self.counted(ring)
        new, metrics = self._regress(state, seen, live_obs, key)
        valid, counted = (reduce.total(rows.valid.astype(jnp.float32)) for rows in (ring.rows, seen.rows))
        # Where no row counts, momentum would still move the networks, and the target_kl the step.
        env_steps, some = new.env_steps, counted > 0
        new = jax.tree.map(lambda new, old: jnp.where(some, new, old), new, state).replace(env_steps=env_steps)
        metrics |= {"ring_valid": valid, "counted_share": counted / jnp.maximum(valid, 1.0)}
        return new, metrics | {"explained_variance": jnp.where(some, metrics["explained_variance"], 0.0)}

    def counted(self, ring: replay.Ring) -> replay.Ring:
        """The ring with those rows valid that count for Monte Carlo returns (`episodes.ended`)."""
        return episodes.ended(ring, self.config.rollout_steps if self.config.episodes == "newest" else 0)

    def _regress(
        self, state: LearnerState, ring: replay.Ring, live_obs: Float[Array, "N O"], key: Key[Array, ""]
    ) -> tuple[LearnerState, Metrics]:
        """`update` on the valid rows of `ring`."""
        config, valid = self.config, ring.rows.valid
        key_value, key_policy, key_kl = jax.random.split(key, 3)

        g, v = 2 * [jnp.zeros_like(ring.rows.reward)] if config.clones else self.relabel(state, ring, live_obs)
        metrics = {"explained_variance": returns.explained_variance(g, v, valid)}
        if self._own_units and not config.clones:
            state = state.replace(value=units.rescaled(state.value, g, valid))  # type: ignore[attr-defined]
        state, metrics["value_loss"] = self.regress_value(state, ring, g, key_value)
        if config.relabel == "twice" and config.value_updates:
            g, v = self.relabel(state, ring, live_obs)
        _, weights, diagnostics = self.weigh(state, g, v, valid)
        old = state.policy
        state, metrics["policy_loss"] = self.regress_policy(state, ring, weights, key_policy)
        metrics |= diagnostics | self._policy_diagnostics(state, old, ring, key_kl)
        if config.target_kl:
            metrics["policy_step"] = state.policy_step
            state = state.replace(policy_step=next_step(state.policy_step, metrics["kl"], config.target_kl))  # type: ignore[attr-defined]
        if config.gamma_end:
            metrics["horizon"] = self.horizon(state)
        added = config.rollout_steps * live_obs.shape[0] * reduce.devices()
        state = state.replace(env_steps=jnp.minimum(state.env_steps + added, STEPS_LAST))  # type: ignore[attr-defined]
        if self._scheduled_std:
            share = jnp.minimum(state.env_steps / config.std_steps, 1.0)
            std = config.std + share * (config.std_end - config.std)
            state = state.replace(policy=state.policy | {"std": std})  # type: ignore[attr-defined]
        metrics |= {"value_mean": reduce.mean(v, valid), "ring_valid": reduce.total(valid.astype(jnp.float32))}
        return state, metrics

    def relabel(
        self, state: LearnerState, ring: replay.Ring, live_obs: Float[Array, "N O"]
    ) -> tuple[Float[Array, "C N"], Float[Array, "C N"]]:
        """Returns and values [C, N] of the ring under the present value network (`returns.relabel`).

        Monte Carlo returns are those of TD(1) on a ring as `counted` gives it; where nothing uses values they are 0.
        """
        config, gamma = self.config, 1.0 - 1.0 / self.horizon(state)
        lam = config.lam if config.returns == "td_lambda" else 1.0

        def value(obs: Float[Array, "N O"]) -> Float[Array, " N"]:
            return self.value(state, obs) if config.uses_values else jnp.zeros(obs.shape[:-1])

        return returns.relabel(ring, value, live_obs, gamma, lam)

    def weigh(
        self, state: LearnerState, g: Float[Array, "C N"], v: Float[Array, "C N"], valid: Bool[Array, "C N"]
    ) -> tuple[Float[Array, "C N"], Float[Array, "C N"], Metrics]:
        """`returns.advantages_and_weights` of returns `g` and values `v`, all [C, N], by this learner's settings."""
        unit = state.value["units"][1] if self._own_units else 1.0
        return returns.advantages_and_weights(g, v, valid, self.config, unit)

    def regress_value(
        self, state: LearnerState, ring: replay.Ring, g: Float[Array, "C N"], key: Key[Array, ""]
    ) -> tuple[LearnerState, Float[Array, ""]]:
        """Fits the value network to the returns `g` [C, N]; gives the new state and the mean loss []."""
        centre, unit = self._centre_and_unit(state)

        def loss(params: Params, batch: replay.Batch) -> Array:
            output = self._value_output(params, state.normalizer, batch.obs)
            target = (batch.extra["target"] - centre) / unit
            if self.config.value_bins:
                return categorical.loss(output, target, batch.valid)
            return losses.value_loss(output[..., 0], target, batch.valid, self.config.expectile)

        def read(places: replay.Places) -> replay.Batch:
            return replay.read(ring, places, target=g)

        places = self._places(state, ring, key, self.config.value_updates, self.batch_share)
        value, opt, mean_loss = regress(loss, self._value_tx, state.value, state.value_opt, read, places)
        return state.replace(value=value, value_opt=opt), mean_loss  # type: ignore[attr-defined]

    def regress_policy(
        self, state: LearnerState, ring: replay.Ring, weights: Float[Array, "C N"], key: Key[Array, ""]
    ) -> tuple[LearnerState, Float[Array, ""]]:
        """Fits the policy to the ring's actions, weighted by `weights` [C, N]; new state and the mean loss []."""
        config = self.config

        def loss(params: Params, batch: replay.Batch) -> Array:
            policy = self.policy(params, state.normalizer, batch.obs)
            weight = batch.extra["weight"]
            return losses.policy_loss(policy, batch.action, weight, batch.valid, config.bound_coef, config.logit_coef)

        def read(places: replay.Places) -> replay.Batch:
            return replay.read(ring, places, weight=weights)

        places = self._places(state, ring, key, config.policy_updates, self.batch_share)
        policy, opt, mean_loss = regress(
            loss, self._policy_tx, state.policy, state.policy_opt, read, places, state.policy_step
        )
        return state.replace(policy=policy, policy_opt=opt), mean_loss  # type: ignore[attr-defined]

    def _policy_diagnostics(self, state: LearnerState, old: Params, ring: replay.Ring, key: Array) -> Metrics:
        batch = replay.read(ring, self._places(state, ring, key, min(KL_ROWS, ring.rows.reward.size)))
        new_policy = self.policy(state.policy, state.normalizer, batch.obs)
        old_policy = self.policy(old, state.normalizer, batch.obs)
        found = {
            "kl": reduce.mean(new_policy.kl(old_policy), batch.valid),
            "entropy": reduce.mean(new_policy.entropy(), batch.valid),
        }
        if not self.discrete:
            found["action_std"] = jnp.mean(self.action_std(state.policy))
        return found


def next_step(step: Float[Array, ""], kl: Float[Array, ""], target: float) -> Float[Array, ""]:
    """The share of `policy_lr` to take next, a scalar [], after an iteration with share `step` [] gave `kl` [] nats.

    The KL of a step is quadratic in it. The paper's constraint (its equation 4) is a bound on this divergence.
    """
    change = jnp.sqrt(target / jnp.maximum(kl, 1e-3 * target))
    return jnp.clip(step * jnp.clip(change, STEP_LEAST_CHANGE, 1 / STEP_LEAST_CHANGE), STEP_LEAST, 1.0)

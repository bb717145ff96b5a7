"""Weighted cloning with a model of one's own, here a linear-Gaussian policy in plain JAX.

python weigh.py SET                values are a straight line through the set's own returns
python weigh.py SET weights.npz    weights as `awr-mjx data weigh SET --run RUN --out weights.npz` writes them
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from awr_mjx.algorithm import losses, returns
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.train.datasets import packing, reading
from awr_mjx.train.datasets.data_set import DataSet

CONFIG = AwrConfig(gamma=0.99, lam=0.95, beta=1.0, weight_max=20.0)
Params = dict[str, jax.Array]


def linear_values(ring: Any) -> Any:
    """A value function: the straight line through the discounted sums of rewards of the ring's valid rows."""
    rows = ring.rows
    nothing = jnp.zeros_like(rows.obs[0])  # what comes after the newest rows; no valid row of a set is the newest
    sums, _ = returns.relabel(ring, lambda obs: jnp.zeros(len(obs)), nothing, CONFIG.gamma, 1.0)
    valid = np.asarray(rows.valid)
    inputs = np.append(np.asarray(rows.obs)[valid], np.ones((valid.sum(), 1)), axis=1)
    line = jnp.asarray(np.linalg.lstsq(inputs, np.asarray(sums)[valid], rcond=None)[0], jnp.float32)
    return lambda obs: obs @ line[:-1] + line[-1]


def weights_of(found: DataSet) -> np.ndarray:
    """The weight of every step [R] of the set, in its order."""
    ring = jax.tree.map(jnp.asarray, packing.packed([found]))
    nothing = jnp.zeros_like(ring.rows.obs[0])
    g, v = returns.relabel(ring, linear_values(ring), nothing, CONFIG.gamma, CONFIG.lam)
    _, weights, seen = returns.advantages_and_weights(g, v, ring.rows.valid, CONFIG)
    print(f"effective sample share {float(seen['effective_sample_share']):.2f}")
    return np.asarray(weights).reshape(-1)[np.asarray(ring.places)]


def negative_log_likelihood(params: Params, obs: jax.Array, action: jax.Array) -> jax.Array:
    """-log N(a; W s + b, exp(log_std)^2) of each of B rows, [B]: what one's own model puts in its place."""
    z = (action - obs @ params["w"] - params["b"]) * jnp.exp(-params["log_std"])
    return jnp.sum(0.5 * z**2 + params["log_std"] + 0.5 * jnp.log(2 * jnp.pi), axis=-1)


def clone(obs: jax.Array, action: jax.Array, weight: jax.Array, steps: int = 2000) -> Params:
    """The policy that is most likely to take the actions [R, A] in the observations [R, O], by weight [R]."""
    size = action.shape[1]
    params = {"w": jnp.zeros((obs.shape[1], size)), "b": jnp.zeros(size), "log_std": jnp.zeros(size)}
    tx = optax.adam(1e-2)
    valid = jnp.ones(len(obs), bool)

    def loss(params: Params) -> jax.Array:
        return losses.weighted_loss(negative_log_likelihood(params, obs, action), weight, valid)

    def step(carry: Any, _: None) -> Any:
        params, opt = carry
        changes, opt = tx.update(jax.grad(loss)(params), opt, params)
        return (optax.apply_updates(params, changes), opt), None

    (params, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, length=steps))((params, tx.init(params)))
    return params


def main(source: str, weights: str | None = None) -> Params:
    """Clones the set, whose actions are numbers, and prints the policy."""
    found = reading.read(source, None)
    weight = np.load(weights)["weight"] if weights else weights_of(found)
    obs = found.observations[found.acted_on()]
    params = clone(jnp.asarray(obs), jnp.asarray(found.actions), jnp.asarray(weight))
    print(f"a = {np.asarray(params['w']).T.round(3).tolist()} s + {np.asarray(params['b']).round(3).tolist()}")
    return params


if __name__ == "__main__":
    main(*sys.argv[1:])

"""TD(lambda) returns over the ring, and the weights that advantages become (paper, section 3.3 and algorithm 1)."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from awr_mjx.algorithm import reduce
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.replay import Ring, oldest_last

ValueFn = Callable[[Float[Array, "N O"]], Float[Array, " N"]]
Carry = tuple[Array, Array, Array, Array]
AT_ONCE = 16_384  # observations in a forward pass


def td_lambda_step(
    r_t: Float[Array, "*n"],
    terminated_t: Bool[Array, "*n"],
    valid_tp1: Bool[Array, "*n"],
    v_tp1: Float[Array, "*n"],
    g_tp1: Float[Array, "*n"],
    gamma: float | Float[Array, ""],
    lam: float | Float[Array, ""],
) -> Float[Array, "*n"]:
    """G_t = r_t + gamma c_t [(1 - lam k_t) V(s_{t+1}) + lam k_t G_{t+1}], all arrays [...].

    c_t = 0 after a failure, so its successor is worth nothing. k_t = 1 where the successor row is valid: the trace goes
    on exactly there, and at a time limit it ends in V of the true final observation.
    """
    trace = jnp.where(valid_tp1, lam, 0.0)
    successor = (1.0 - trace) * v_tp1 + trace * jnp.where(valid_tp1, g_tp1, 0.0)
    return r_t + jnp.where(terminated_t, 0.0, gamma * successor)


def relabel(
    ring: Ring,
    value_fn: ValueFn,
    live_obs: Float[Array, "N O"],
    gamma: float | Float[Array, ""],
    lam: float | Float[Array, ""],
) -> tuple[Float[Array, "C N"], Float[Array, "C N"]]:
    """TD(lambda) returns and values of all C rows of the ring, in one reverse scan from the newest to the oldest.

    C includes the rows that the ring keeps. Values are computed before, those of many rows at once (`all_values`).

    Args:
      ring: the ring; it may have wrapped around.
      value_fn: maps raw observations [N, O] to values [N].
      live_obs: the observation [N, O] of every environment now, the successor of the newest row.
      gamma: discount per control step, a scalar [].
      lam: lambda of TD(lambda). With 1, rewards are summed to the end of the episode, or to the newest row if it goes
        on, and V of the state after a time limit or the newest row is added (`episodes.ended` is for plain sums).

    Returns:
      Returns G [C, N] and values V [C, N], each at its row's place; meaningless where a row is not valid.
    """
    rows = ring.rows
    capacity = rows.reward.shape[0]

    def at(array: Array, row: Array) -> Array:
        return lax.dynamic_index_in_dim(array, row, keepdims=False)

    def put(array: Array, new: Array, row: Array) -> Array:
        return lax.dynamic_update_index_in_dim(array, new, row, axis=0)

    values = all_values(value_fn, rows.obs)

    def step(carry: Carry, age: Array) -> tuple[Carry, None]:
        v_tp1, g_tp1, valid_tp1, returns = carry
        row = oldest_last(ring, age)
        g_t = td_lambda_step(at(rows.reward, row), at(rows.terminated, row), valid_tp1, v_tp1, g_tp1, gamma, lam)
        return (at(values, row), g_t, at(rows.valid, row), put(returns, g_t, row)), None

    v_live = value_fn(live_obs)
    start = (v_live, v_live, jnp.zeros_like(rows.valid[0]), jnp.zeros_like(rows.reward))
    (_, _, _, returns), _ = lax.scan(step, start, jnp.arange(capacity, dtype=jnp.int32))
    return returns, values


def all_values(value_fn: ValueFn, obs: Float[Array, "C N O"]) -> Float[Array, "C N"]:
    """Values [C, N] of observations [C, N, O], up to `AT_ONCE` of them in a forward pass, but of a row at least.

    An accelerator is as long at a few as at that many. What a pass works in is small beside the ring: an eighth of it
    at most.
    """
    count, envs, size = obs.shape
    most = max(1, min(AT_ONCE // envs, count // 8))
    rows = max(rows for rows in range(1, most + 1) if count % rows == 0)
    parts = obs.reshape(count // rows, rows * envs, size)
    return lax.map(value_fn, parts).reshape(count, envs)


def effective_sample_share(weights: Float[Array, "*n"], valid: Bool[Array, "*n"]) -> Float[Array, ""]:
    """(sum w)^2 / sum w^2 / n over the valid [...] of `weights` [...]: 1 if all weigh the same, 1/n if one has all."""
    w = jnp.where(valid, weights, 0.0)
    squares = jnp.maximum(reduce.total(jnp.square(w)), jnp.finfo(jnp.float32).tiny)
    return jnp.square(reduce.total(w)) / squares / reduce.count(valid)


def beta_for_share(advantages: Float[Array, "*n"], valid: Bool[Array, "*n"], share: float) -> Float[Array, ""]:
    """The beta [] at which exp(A / beta), unclipped, has the effective sample share `share`, by bisection.

    The share grows with beta; clipping would spoil that, hence unclipped. Searched from 1e-3 to 1e3 std of the
    `advantages` [...] over the `valid` [...] ones.
    """
    top = reduce.maximum(advantages, valid)
    scale = reduce.mean_and_std(advantages, valid)[1] + 1e-8

    def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        weights = jnp.exp(jnp.where(valid, advantages - top, 0.0) / (scale * jnp.exp(middle)))
        too_even = effective_sample_share(weights, valid) > share
        return jnp.where(too_even, low, middle), jnp.where(too_even, middle, high)

    edge = jnp.log(jnp.float32(1e3))
    low, high = lax.fori_loop(0, 24, halve, (-edge, edge))
    return scale * jnp.exp((low + high) / 2)


def advantages_and_weights(
    returns: Float[Array, "C N"],
    values: Float[Array, "C N"],
    valid: Bool[Array, "C N"],
    config: AwrConfig,
    unit: float | Float[Array, ""] = 1.0,
) -> tuple[Float[Array, "C N"], Float[Array, "C N"], dict[str, Float[Array, ""]]]:
    """Advantages (raw), weights min(exp(A / beta), w_max) and their diagnostics, over the `valid` rows, all [C, N].

    With `config.advantage` "standardized", A is first brought to mean 0 and std 1 over the valid rows, as in the
    authors' code; a std far below `unit` [], what a return is about, counts as none. Weights of rows that are not valid
    are 0.
    """
    advantages = returns - values if config.baseline else returns
    centre, std = reduce.mean_and_std(advantages, valid)
    scaled = (advantages - centre) / (std + 1e-5 * unit) if config.advantage == "standardized" else advantages
    beta = beta_for_share(scaled, valid, config.target_ess) if config.target_ess else jnp.float32(config.beta)
    if config.weighting == "uniform":
        weights, clipped = jnp.ones_like(scaled), jnp.zeros_like(valid)
    else:
        exponent = scaled / beta
        clipped = exponent > jnp.log(config.weight_max)
        # exp of the smaller number, so that a large advantage cannot overflow
        weights = jnp.exp(jnp.minimum(exponent, jnp.log(config.weight_max)))
    weights = jnp.where(valid, weights, 0.0)
    diagnostics = {
        "advantage_std": std,
        "beta": beta,
        "weight_mean": reduce.mean(weights, valid),
        "weight_max": reduce.maximum(weights, jnp.ones_like(valid)),  # those of invalid rows are 0
        "weight_clipped": reduce.mean(clipped.astype(jnp.float32), valid),
        "effective_sample_share": effective_sample_share(weights, valid),
    }
    return advantages, weights, diagnostics


def explained_variance(
    returns: Float[Array, "C N"], values: Float[Array, "C N"], valid: Bool[Array, "C N"]
) -> Float[Array, ""]:
    """1 - var(G - V) / var(G) over the `valid` [C, N] rows: 1 is a perfect critic, 0 no better than a constant."""
    _, residual = reduce.mean_and_std(returns - values, valid)
    _, spread = reduce.mean_and_std(returns, valid)
    return 1.0 - jnp.square(residual) / (jnp.square(spread) + 1e-8)

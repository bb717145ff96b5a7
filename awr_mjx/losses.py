"""AWR's two regressions (paper, algorithm 1, lines 6 and 7). Every mean is over the valid rows of the minibatch."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from awr_mjx import reduce
from awr_mjx.distributions import Categorical, Distribution, Gaussian


def value_loss(
    prediction: Float[Array, " B"], target: Float[Array, " B"], valid: Bool[Array, " B"]
) -> Float[Array, ""]:
    """0.5 mean (target - prediction)^2, a scalar []; both [B] are in units of 1 / (1 - gamma)."""
    return 0.5 * reduce.mean(jnp.square(target - prediction), valid)


def policy_loss(
    policy: Distribution,
    action: Shaped[Array, "B ..."],
    weight: Float[Array, " B"],
    valid: Bool[Array, " B"],
    bound_coef: float,
    logit_coef: float,
) -> Float[Array, ""]:
    """- mean w log pi(a|s) + penalty, a scalar [].

    Args:
      policy: pi(.|s) for the B rows; `action`: [B, A] or [B]; `weight`, `valid`: [B].
      bound_coef: Gaussian policies pay bound_coef / 2 times the squared excess of the mean over [-1, 1].
      logit_coef: categorical policies pay logit_coef / 2 times the squared logits.
    """
    likelihood = reduce.mean(weight * policy.log_prob(action), valid)
    return -likelihood + reduce.mean(penalty(policy, bound_coef, logit_coef), valid)


def penalty(policy: Distribution, bound_coef: float, logit_coef: float) -> Float[Array, " B"]:
    """What keeps a policy's outputs in range, per row [B] (authors' code; see `policy_loss`)."""
    if isinstance(policy, Gaussian):
        excess = jnp.maximum(jnp.abs(policy.mean) - 1.0, 0.0)
        return 0.5 * bound_coef * jnp.sum(jnp.square(excess), axis=-1)
    assert isinstance(policy, Categorical), f"no penalty is known for {type(policy).__name__}"
    return 0.5 * logit_coef * jnp.sum(jnp.square(policy.logits), axis=-1)

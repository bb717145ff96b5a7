"""AWR's two regressions (paper, algorithm 1, lines 6 and 7). Every mean is over the valid rows of the minibatch."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from awr_mjx.algorithm import reduce
from awr_mjx.algorithm.distributions import Categorical, Distribution, Gaussian


def value_loss(
    prediction: Float[Array, " B"], target: Float[Array, " B"], valid: Bool[Array, " B"], expectile: float = 0.5
) -> Float[Array, ""]:
    """0.5 mean (target - prediction)^2, a scalar []; both [B] are in the units of the value network.

    With another `expectile` in (0, 1), targets above the prediction count 2 expectile, those below 2 (1 - expectile)
    (Kostrikov, Nair, Levine 2021, arXiv 2110.06169, section 4.1).
    """
    error = target - prediction
    square = jnp.square(error)
    if expectile != 0.5:
        square = square * 2.0 * jnp.where(error > 0, expectile, 1.0 - expectile)
    return 0.5 * reduce.mean(square, valid)


def policy_loss(
    policy: Distribution,
    action: Shaped[Array, "B ..."],
    weight: Float[Array, " B"],
    valid: Bool[Array, " B"],
    bound_coef: float | Float[Array, ""],
    logit_coef: float | Float[Array, ""],
) -> Float[Array, ""]:
    """- mean w log pi(a|s) + penalty, a scalar [].

    Args:
      policy: pi(.|s) for the B rows; `action`: [B, A] or [B]; `weight`, `valid`: [B].
      bound_coef: Gaussian policies pay bound_coef / 2 times the squared excess of the mean over [-1, 1].
      logit_coef: categorical policies pay logit_coef / 2 times the squared logits.
    """
    cloning = weighted_loss(-policy.log_prob(action), weight, valid)
    return cloning + reduce.mean(penalty(policy, bound_coef, logit_coef), valid)


def weighted_loss(
    negative_log_likelihood: Float[Array, " B"], weight: Float[Array, " B"], valid: Bool[Array, " B"]
) -> Float[Array, ""]:
    """mean w (-log pi(a|s)), a scalar [], of any model that gives -log pi(a|s) for each of B rows; all [B].

    A diffusion model's denoising error, or whatever else a model is fitted by, can take the likelihood's place.
    """
    return reduce.mean(weight * negative_log_likelihood, valid)


def penalty(
    policy: Distribution, bound_coef: float | Float[Array, ""], logit_coef: float | Float[Array, ""]
) -> Float[Array, " B"]:
    """What keeps a policy's outputs in range, per row [B] (authors' code; see `policy_loss`)."""
    if isinstance(policy, Gaussian):
        excess = jnp.maximum(jnp.abs(policy.mean) - 1.0, 0.0)
        return 0.5 * bound_coef * jnp.sum(jnp.square(excess), axis=-1)
    assert isinstance(policy, Categorical), f"no penalty is known for {type(policy).__name__}"
    return 0.5 * logit_coef * jnp.sum(jnp.square(policy.logits), axis=-1)

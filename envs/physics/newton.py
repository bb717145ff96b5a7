"""The solver of the constraints: Newton's method on MuJoCo's convex cost, with an exact line search."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Linear = Callable[[jax.Array], jax.Array]


def minimum(
    along: Linear,
    back: Linear,
    direction: Callable[[jax.Array, jax.Array], jax.Array],
    inertia: jax.Array,
    smooth: jax.Array,
    weight: jax.Array,
    target: jax.Array,
    start: jax.Array,
    steps: tuple[int, int],
) -> tuple[jax.Array, jax.Array]:
    """Finds accelerations [nv] and the rows' forces [E].

    They minimise 0.5 (a - a0)' M (a - a0) + 0.5 sum_i weight_i min(0, row_i a - target_i)^2, where a0 are the
    accelerations without constraints: convex, and quadratic wherever the set of rows that push stays the same.

    Args:
      along: the rows' accelerations [E] of a [nv], J a.
      back: its transpose, J' f [nv] of f [E].
      direction: (pushing [E], gradient [nv]) -> (M + J' diag(pushing) J)^-1 gradient [nv].
      inertia: M, float32 [nv, nv].
      smooth: M a0, float32 [nv].
      weight: 1 / regularisation of the rows, float32 [E]; 0 where nothing touches.
      target: the accelerations along the rows that would let them give way as they should, float32 [E].
      start: where to start, float32 [nv].
      steps: how many steps, and how many of each line search.
    """

    def step(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        acceleration, excess, momentum = carry
        # The first step takes it that all that touches pushes: nearer to the truth than what pushed a step ago.
        pushing = jnp.where((excess < 0) | (i == 0), weight, 0.0)
        unbalanced = momentum - smooth
        towards = -direction(pushing, unbalanced + back(pushing * excess))
        moved, gained = along(towards), inertia @ towards
        slope, curvature = towards @ unbalanced, towards @ gained
        length = line_search(slope, curvature, weight, excess, moved, steps[1])
        return acceleration + length * towards, excess + length * moved, momentum + length * gained

    carry = start, along(start) - target, inertia @ start
    acceleration, excess, _ = jax.lax.fori_loop(0, steps[0], step, carry)
    return acceleration, -weight * jnp.minimum(excess, 0.0)


def line_search(
    slope: jax.Array, curvature: jax.Array, weight: jax.Array, excess: jax.Array, moved: jax.Array, steps: int
) -> jax.Array:
    """Returns the length [] along a direction where the cost is least, after so many `steps`.

    The cost's derivative, slope + length curvature + sum of weight moved min(0, excess + length moved), rises piece by
    piece in straight lines: Newton's method finds its zero, kept between the best bounds so far.
    """
    length, low, high = jnp.ones(()), jnp.zeros(()), jnp.full((), jnp.inf)
    for _ in range(steps):
        there = excess + length * moved
        pushing = jnp.where(there < 0, weight * moved, 0.0)
        derivative, rise = slope + length * curvature + pushing @ there, curvature + pushing @ moved
        low, high = jnp.where(derivative <= 0, length, low), jnp.where(derivative > 0, length, high)
        guess = length - derivative / jnp.where(rise > 0, rise, 1.0)
        halved = jnp.where(jnp.isfinite(high), (low + high) / 2, guess)
        length = jnp.where((low <= guess) & (guess <= high), guess, halved)
    return length

"""The solver of the constraints: Newton's method on MuJoCo's convex cost, with an exact line search."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Linear = Callable[[jax.Array], jax.Array]


class Cut(NamedTuple):
    """What a joint's drive gives of the torques that it is asked for, and how that changes with them.

    The derivative of `given` is diag(kept) - lost lost', the latter within each joint.

    Attributes:
      given: float32 [nv].
      kept: float32 [nv].
      lost: float32 [nv].
    """

    given: jax.Array
    kept: jax.Array
    lost: jax.Array


@dataclasses.dataclass(frozen=True)
class Drive:
    """Torques pull - stiff a that fall with the accelerations a, cut where they are beyond a limit.

    Attributes:
      pull: float32 [nv].
      stiff: float32 [nv], at least 0.
      cut: what is given of torques [nv].
      sums: the sum of each joint's part of a vector [nv], for those joints for which something is `lost`.
    """

    pull: jax.Array
    stiff: jax.Array
    cut: Callable[[jax.Array], Cut]
    sums: Linear

    def torques(self, acceleration: jax.Array) -> Cut:
        """Returns what is given at accelerations [nv], and minus its derivative by them."""
        cut = self.cut(self.pull - self.stiff * acceleration)
        return Cut(cut.given, cut.kept * self.stiff, cut.lost * jnp.sqrt(self.stiff))

    def uncut(self, acceleration: jax.Array) -> Cut:
        """Returns the same without a limit, at accelerations [nv]."""
        return Cut(self.pull - self.stiff * acceleration, self.stiff, jnp.zeros_like(self.stiff))

    def along(self, acceleration: jax.Array, towards: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the torques' power in the direction of `towards` [nv], and how fast it falls that way."""
        cut = self.torques(acceleration)
        fall = jnp.square(towards) @ cut.kept - jnp.square(self.sums(cut.lost * towards)).sum()
        return towards @ cut.given, fall


def minimum(
    along: Linear,
    back: Linear,
    direction: Callable[[jax.Array, Cut | None, jax.Array], jax.Array],
    inertia: jax.Array,
    smooth: jax.Array,
    weight: jax.Array,
    target: jax.Array,
    start: jax.Array,
    steps: tuple[int, int],
    drive: Drive | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Finds accelerations [nv] and the rows' forces [E].

    They minimise 0.5 (a - a0)' M (a - a0) + 0.5 sum_i weight_i min(0, row_i a - target_i)^2, where a0 are the
    accelerations without constraints: convex, and quadratic wherever the set of rows that push stays the same. What a
    `drive` adds has its torques for a slope: a parabola that goes on as a straight line where they are at their limit.

    Args:
      along: the rows' accelerations [E] of a [nv], J a.
      back: its transpose, J' f [nv] of f [E].
      direction: (pushing [E], the drive's torques or None, gradient [nv])
        -> (M + J' diag(pushing) J + minus the torques' derivative)^-1 gradient [nv].
      inertia: M, float32 [nv, nv].
      smooth: M a0, float32 [nv].
      weight: 1 / regularisation of the rows, float32 [E]; 0 where nothing touches.
      target: the accelerations along the rows that would let them give way as they should, float32 [E].
      start: where to start, float32 [nv].
      steps: how many steps, and how many of each line search.
      drive: what else moves the coordinates.
    """

    def step(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        acceleration, excess, momentum = carry
        # The first step takes it that all that touches pushes, and that no torque is at its limit: nearer to the truth
        # than what pushed, and what was at its limit, a step ago.
        pushing = jnp.where((excess < 0) | (i == 0), weight, 0.0)
        unbalanced, cut = momentum - smooth, None
        gradient = unbalanced + back(pushing * excess)
        if drive:
            cut = jax.tree.map(
                functools.partial(jnp.where, i == 0), drive.uncut(acceleration), drive.torques(acceleration)
            )
            gradient -= cut.given
        towards = -direction(pushing, cut, gradient)
        moved, gained = along(towards), inertia @ towards
        slope, curvature = towards @ unbalanced, towards @ gained

        def smoothly(length: jax.Array) -> tuple[jax.Array, jax.Array]:
            power, fall = drive.along(acceleration + length * towards, towards) if drive else (0.0, 0.0)
            return slope + length * curvature - power, curvature + fall

        length = line_search(smoothly, weight, excess, moved, steps[1])
        return acceleration + length * towards, excess + length * moved, momentum + length * gained

    carry = start, along(start) - target, inertia @ start
    acceleration, excess, _ = jax.lax.fori_loop(0, steps[0], step, carry)
    return acceleration, -weight * jnp.minimum(excess, 0.0)


def line_search(
    smoothly: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    weight: jax.Array,
    excess: jax.Array,
    moved: jax.Array,
    steps: int,
) -> jax.Array:
    """Returns the length [] along a direction where the cost is least, after so many `steps`.

    The cost's derivative is what `smoothly` says of a length, with how fast it rises there, and the sum of
    weight moved min(0, excess + length moved). It rises piece by piece in straight lines, or nearly so: Newton's method
    finds its zero, kept between the best bounds so far.
    """
    length, low, high = jnp.ones(()), jnp.zeros(()), jnp.full((), jnp.inf)
    for _ in range(steps):
        there = excess + length * moved
        pushing = jnp.where(there < 0, weight * moved, 0.0)
        derivative, rise = smoothly(length)
        derivative, rise = derivative + pushing @ there, rise + pushing @ moved
        low, high = jnp.where(derivative <= 0, length, low), jnp.where(derivative > 0, length, high)
        guess = length - derivative / jnp.where(rise > 0, rise, 1.0)
        halved = jnp.where(jnp.isfinite(high), (low + high) / 2, guess)
        length = jnp.where((low <= guess) & (guess <= high), guess, halved)
    return length

"""Contact of a body with the ground, which does not move: b2ContactSolver."""

from typing import NamedTuple

import jax.numpy as jnp

from awr_mjx.envs.box2d.collision import RADIUS, SLOP, Manifold
from awr_mjx.envs.box2d.shapes import (
    Body,
    Pose,
    Scalar,
    Shape,
    Velocity,
    add,
    choose,
    cross,
    dot,
    kept,
    kept_pair,
    moved,
    sub,
    turn,
)

BAUMGARTE, TOI_BAUMGARTE = 0.2, 0.75
MAX_CORRECTION = 0.2  # m


class Impulse(NamedTuple):
    """What a point of contact has pushed with (N s), along normal and tangent; `key` is that of `collision.Point`."""

    key: Scalar
    normal: Scalar
    tangent: Scalar


class Row(NamedTuple):
    """A point of contact as the velocity solver wants it: normal, lever arms of normal and tangent, effective masses.

    The masses are 0 where nothing touches, and so are the impulses then.
    """

    nx: Scalar
    ny: Scalar
    normal_arm: Scalar
    tangent_arm: Scalar
    normal_mass: Scalar
    tangent_mass: Scalar


def rows(shape: Shape, body: Body, manifolds: list[Manifold], one: Scalar) -> list[Row]:
    """A row for each of the manifolds' points."""
    found = []
    for manifold in manifolds:
        nx, ny = kept_pair(one, manifold.normal)
        for point in manifold.points:
            r = (point.x - body.x, point.y - body.y)
            arms = kept(one, cross(r, (nx, ny)), cross(r, (ny, -nx)))
            masses = [jnp.where(point.there, 1 / (shape.inv_mass + shape.inv_inertia * k * k), 0.0) for k in arms]
            found.append(Row(nx, ny, *arms, *kept(one, *masses)))
    return found


def remembered(manifolds: list[Manifold], before: tuple[Impulse, ...], one: Scalar) -> list[Impulse]:
    """For each of the manifolds' points, the impulse that it had a step ago, or 0 if it was not there."""
    found = []
    for manifold in manifolds:
        for point in manifold.points:
            normal = tangent = jnp.zeros_like(point.x)
            for old in before:
                same = point.there & (point.key == old.key)
                normal = jnp.where(same, old.normal, normal)
                tangent = jnp.where(same, old.tangent, tangent)
            found.append(Impulse(point.key, *kept(one, normal, tangent)))
    return found


def _along_normal(shape: Shape, v: Velocity, row: Row, impulse: Scalar) -> Velocity:
    m, i = shape.inv_mass * impulse, shape.inv_inertia * impulse
    return v[0] + m * row.nx, v[1] + m * row.ny, v[2] + i * row.normal_arm


def _along_tangent(shape: Shape, v: Velocity, row: Row, impulse: Scalar) -> Velocity:
    m, i = shape.inv_mass * impulse, shape.inv_inertia * impulse
    return v[0] + m * row.ny, v[1] - m * row.nx, v[2] + i * row.tangent_arm


def warm_start(shape: Shape, v: Velocity, rows: list[Row], impulses: list[Impulse], one: Scalar) -> Velocity:
    """Velocity after the impulses to start from."""
    for row, impulse in zip(rows, impulses, strict=True):
        v = _along_tangent(shape, _along_normal(shape, v, row, impulse.normal), row, impulse.tangent)
        v = kept(one, *v)
    return v


def solve_velocity(
    shape: Shape, v: Velocity, rows: list[Row], impulses: list[Impulse], one: Scalar
) -> tuple[Velocity, list[Impulse]]:
    """One pass over a body's points: friction first, then the normals (SolveVelocityConstraints)."""
    found = []
    for row, impulse in zip(rows, impulses, strict=True):
        speed = v[0] * row.ny - v[1] * row.nx + v[2] * row.tangent_arm
        bound = shape.friction * impulse.normal
        (new,) = kept(one, jnp.clip(impulse.tangent - row.tangent_mass * speed, -bound, bound))
        v = _along_tangent(shape, v, row, new - impulse.tangent)
        found.append(impulse._replace(tangent=new))
    for i, (row, impulse) in enumerate(zip(rows, found, strict=True)):
        speed = v[0] * row.nx + v[1] * row.ny + v[2] * row.normal_arm
        (new,) = kept(one, jnp.maximum(impulse.normal - row.normal_mass * speed, 0.0))
        v = _along_normal(shape, v, row, new - impulse.normal)
        found[i] = impulse._replace(normal=new)
    return v, found


def solve_position(
    shape: Shape, pose: Pose, manifolds: list[Manifold], on: Scalar, baumgarte: float, one: Scalar
) -> tuple[Pose, Scalar]:
    """One pass of position correction where `on`; returns the least separation (m) met (SolvePositionConstraints)."""
    worst = jnp.zeros_like(pose.x)
    for manifold in manifolds:
        sign = jnp.where(manifold.of_body, -1.0, 1.0)
        for point in manifold.points:
            g = kept_pair(one, choose(manifold.of_body, turn(pose.angle, manifold.normal_local), manifold.normal_local))
            plane = choose(manifold.of_body, add(pose.origin, turn(pose.angle, manifold.plane)), manifold.plane)
            moving = add(pose.origin, turn(pose.angle, point.clipped))
            q = kept_pair(one, choose(manifold.of_body, point.clipped, moving))
            (separation,) = kept(one, dot(sub(q, plane), g) - RADIUS)
            (worst,) = kept(one, jnp.where(point.there, jnp.minimum(worst, separation), worst))
            normal = (sign * g[0], sign * g[1])
            (arm,) = kept(one, cross(sub(q, pose.origin), normal))
            wanted = jnp.clip(baumgarte * (separation + SLOP), -MAX_CORRECTION, 0.0)
            push = jnp.where(on & point.there, -wanted / (shape.inv_mass + shape.inv_inertia * arm * arm), 0.0)
            (push,) = kept(one, push)
            pose = moved(pose, shape, push * arm, (push * normal[0], push * normal[1]), one)
    return pose, worst

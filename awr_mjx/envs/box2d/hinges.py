"""Hinges between the hull and a leg, with limits and a motor: b2RevoluteJoint."""

import math
from typing import NamedTuple

import jax.numpy as jnp

from awr_mjx.envs.box2d.collision import SLOP
from awr_mjx.envs.box2d.shapes import (
    Body,
    Pose,
    Scalar,
    Shape,
    Vec,
    Velocity,
    angle_of,
    cross,
    dot,
    kept,
    kept_pair,
    kick,
    moved,
    turn,
    twisted,
)

ANGULAR_SLOP = 2.0 / 180.0 * math.pi
MAX_ANGULAR_CORRECTION = 8.0 / 180.0 * math.pi


class Hinge(NamedTuple):
    """A revolute joint of hull (a) and leg (b).

    Attributes:
      anchor_a: from the hull's centre of mass (m), in its frame.
      anchor_b: from the leg's.
      lower: least angle of the leg's against the hull's (rad).
      upper: largest one.
      motor_speed: rad/s.
      max_motor_torque: N m.
    """

    anchor_a: Vec
    anchor_b: Vec
    lower: float
    upper: float
    motor_speed: float
    max_motor_torque: float


class HingeState(NamedTuple):
    """Impulses of the last step, to start from: of the point (N s), of limit and motor (N m s).

    `side` is -1 at the lower limit, 1 at the upper one, 0 between.
    """

    px: Scalar
    py: Scalar
    limit: Scalar
    motor: Scalar
    side: Scalar


class Row(NamedTuple):
    """A hinge as the velocity solver wants it.

    Attributes:
      ra, rb: arms in the world (m).
      inv3: last row of the inverse of the 3 x 3 matrix of point and limit.
      inv2: of the 2 x 2 matrix of the point: 11, 12, 22.
      k3: what the limit's impulse does to the point's velocity.
      motor_mass: effective mass of the motor.
    """

    ra: Vec
    rb: Vec
    inv3: tuple[Scalar, ...]
    inv2: tuple[Scalar, ...]
    k3: Vec
    motor_mass: float


def _point_matrix(a: Shape, b: Shape, ra: Vec, rb: Vec) -> tuple[Scalar, Scalar, Scalar]:
    """k11, k12, k22 of the point constraint."""
    m = a.inv_mass + b.inv_mass
    k11 = m + ra[1] ** 2 * a.inv_inertia + rb[1] ** 2 * b.inv_inertia
    k12 = -ra[1] * ra[0] * a.inv_inertia - rb[1] * rb[0] * b.inv_inertia
    k22 = m + ra[0] ** 2 * a.inv_inertia + rb[0] ** 2 * b.inv_inertia
    return k11, k12, k22


def _inverse2(k11: Scalar, k12: Scalar, k22: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    det = 1.0 / (k11 * k22 - k12 * k12)
    return k22 * det, -k12 * det, k11 * det


def row(a: Shape, b: Shape, hinge: Hinge, hull: Body, leg: Body, one: Scalar) -> Row:
    """The hinge's matrices at the bodies' positions (InitVelocityConstraints)."""
    ra = kept_pair(one, turn(angle_of(hull), hinge.anchor_a))
    rb = kept_pair(one, turn(angle_of(leg), hinge.anchor_b))
    k11, k12, k22 = kept(one, *_point_matrix(a, b, ra, rb))
    k13 = -ra[1] * a.inv_inertia - rb[1] * b.inv_inertia
    k23 = ra[0] * a.inv_inertia + rb[0] * b.inv_inertia
    k13, k23 = kept(one, k13, k23)
    k33 = a.inv_inertia + b.inv_inertia
    c11, c12, c13 = k22 * k33 - k23**2, k13 * k23 - k12 * k33, k12 * k23 - k13 * k22
    c23, c33 = k12 * k13 - k11 * k23, k11 * k22 - k12**2
    det = 1.0 / (k11 * c11 + k12 * c12 + k13 * c13)
    inv3, inv2 = kept(one, c13 * det, c23 * det, c33 * det), kept(one, *_inverse2(k11, k12, k22))
    return Row(ra, rb, inv3, inv2, (k13, k23), 1.0 / k33)


def start(hinge: Hinge, before: HingeState, hull: Body, leg: Body) -> HingeState:
    """Which limit the leg is at; its impulse is kept only while that is the same one."""
    angle = leg.a - hull.a
    side = jnp.where(angle <= hinge.lower, -1.0, jnp.where(angle >= hinge.upper, 1.0, 0.0))
    limit = jnp.where((side == before.side) & (side != 0), before.limit, 0.0)
    return before._replace(side=side, limit=limit)


def _apply(
    a: Shape, b: Shape, row: Row, va: Velocity, vb: Velocity, p: Vec, torque: Scalar
) -> tuple[Velocity, Velocity]:
    va, vb = kick(a, va, row.ra, p, -1.0), kick(b, vb, row.rb, p)
    return (*va[:2], va[2] - a.inv_inertia * torque), (*vb[:2], vb[2] + b.inv_inertia * torque)


def warm_start(
    a: Shape, b: Shape, row: Row, va: Velocity, vb: Velocity, state: HingeState, one: Scalar
) -> tuple[Velocity, Velocity]:
    """Velocities after the impulses to start from."""
    va, vb = _apply(a, b, row, va, vb, (state.px, state.py), state.motor + state.limit)
    return kept(one, *va), kept(one, *vb)


def solve_velocity(
    a: Shape, b: Shape, hinge: Hinge, row: Row, va: Velocity, vb: Velocity, state: HingeState, dt: float, one: Scalar
) -> tuple[Velocity, Velocity, HingeState]:
    """One pass: the motor, then the point together with the limit (SolveVelocityConstraints)."""
    bound = hinge.max_motor_torque * dt
    speed = vb[2] - va[2] - hinge.motor_speed
    (motor,) = kept(one, jnp.clip(state.motor - row.motor_mass * speed, -bound, bound))
    wa, wb = va[2] - a.inv_inertia * (motor - state.motor), vb[2] + b.inv_inertia * (motor - state.motor)
    cx = vb[0] - wb * row.rb[1] - va[0] + wa * row.ra[1]
    cy = vb[1] + wb * row.rb[0] - va[1] - wa * row.ra[0]
    cx, cy = kept(one, cx, cy)
    i13, i23, i33 = row.inv3
    torque = -(i13 * cx + i23 * cy + i33 * (wb - wa))
    # Between the limits, or where the limit would pull: the point alone, and the limit's impulse so far is taken back.
    let_go = (state.side == 0) | (state.side * (state.limit + torque) > 0)
    (torque,) = kept(one, jnp.where(let_go, jnp.where(state.side == 0, 0.0, -state.limit), torque))
    # With the limit's impulse known, the point's is that of the point alone against what is left.
    rx, ry = cx + torque * row.k3[0], cy + torque * row.k3[1]
    j11, j12, j22 = row.inv2
    px, py = kept(one, -(j11 * rx + j12 * ry), -(j12 * rx + j22 * ry))
    va, vb = _apply(a, b, row, (va[0], va[1], wa), (vb[0], vb[1], wb), (px, py), torque)
    va, vb = kept(one, *va), kept(one, *vb)
    return va, vb, HingeState(state.px + px, state.py + py, state.limit + torque, motor, state.side)


def solve_position(
    a: Shape, b: Shape, hinge: Hinge, side: Scalar, hull: Pose, leg: Pose, on: Scalar, one: Scalar
) -> tuple[Pose, Pose, Scalar]:
    """One pass of position correction where `on`; returns whether both errors were small (SolvePositionConstraints)."""
    angle = leg.a - hull.a
    low, high = angle - hinge.lower, angle - hinge.upper
    below = jnp.clip(low + ANGULAR_SLOP, -MAX_ANGULAR_CORRECTION, 0.0)
    above = jnp.clip(high - ANGULAR_SLOP, 0.0, MAX_ANGULAR_CORRECTION)
    limit = jnp.where(side < 0, below, jnp.where(side > 0, above, 0.0))
    angular_error = jnp.where(side < 0, -low, jnp.where(side > 0, high, 0.0))
    (twist,) = kept(one, jnp.where(on, -limit / (a.inv_inertia + b.inv_inertia), 0.0))
    hull, leg = twisted(hull, -a.inv_inertia * twist, one), twisted(leg, b.inv_inertia * twist, one)
    ra, rb = kept_pair(one, turn(hull.angle, hinge.anchor_a)), kept_pair(one, turn(leg.angle, hinge.anchor_b))
    c = kept_pair(one, (leg.x + rb[0] - hull.x - ra[0], leg.y + rb[1] - hull.y - ra[1]))
    i11, i12, i22 = _inverse2(*kept(one, *_point_matrix(a, b, ra, rb)))
    p = (jnp.where(on, -(i11 * c[0] + i12 * c[1]), 0.0), jnp.where(on, -(i12 * c[0] + i22 * c[1]), 0.0))
    p = kept_pair(one, p)
    small = (jnp.sqrt(dot(c, c)) <= SLOP) & (angular_error <= ANGULAR_SLOP)
    back = (-p[0], -p[1])
    return moved(hull, a, cross(ra, back), back, one), moved(leg, b, cross(rb, p), p, one), small

"""Vectors as pairs of scalars, bodies, and convex polygons."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

Scalar = Any  # float32 [] under tracing, or a Python number
Vec = tuple[Scalar, Scalar]
Velocity = tuple[Scalar, Scalar, Scalar]  # m/s, m/s, rad/s


class Body(NamedTuple):
    """Centre of mass (m), angle (rad), and their velocities (m/s, rad/s); each float32 []."""

    x: Scalar
    y: Scalar
    a: Scalar
    vx: Scalar
    vy: Scalar
    w: Scalar


class Pose(NamedTuple):
    """Where a body is: centre of mass (m), angle (rad), and its cosine and sine."""

    x: Scalar
    y: Scalar
    a: Scalar
    c: Scalar
    s: Scalar

    @property
    def origin(self) -> Vec:
        """The centre of mass."""
        return self.x, self.y

    @property
    def angle(self) -> Vec:
        """Cosine and sine."""
        return self.c, self.s


class Shape(NamedTuple):
    """A convex polygon.

    Attributes:
      vertices: about the centre of mass (m), counter-clockwise.
      normals: outward ones, of the side from vertex i to vertex i + 1.
      inv_mass: 1/kg.
      inv_inertia: 1/(kg m^2), about the centre of mass.
      friction: against the ground.
    """

    vertices: tuple[Vec, ...]
    normals: tuple[Vec, ...]
    inv_mass: float
    inv_inertia: float
    friction: float


def one_like(x: Scalar) -> Scalar:
    """A 1 that the compiler cannot know to be one; see `kept`."""
    return 1.0 + 0.0 * x


def kept(one: Scalar, *values: Scalar) -> Any:
    """The values as a tuple, computed once: XLA's CPU compiler writes a quotient down where it is used more than once.

    What is cheap it computes anew for every array that depends on it, which makes a chain of impulses, each of which
    changes several velocities, ten times as long as it is. An `optimization_barrier` is gone before that happens.
    `one` is from `one_like`.
    """
    return tuple(value / one for value in values)


def kept_pair(one: Scalar, v: Vec) -> Vec:
    """The vector, computed once."""
    return kept(one, *v)


def dot(a: Vec, b: Vec) -> Scalar:
    """The inner product."""
    return a[0] * b[0] + a[1] * b[1]


def sub(a: Vec, b: Vec) -> Vec:
    """a - b."""
    return a[0] - b[0], a[1] - b[1]


def add(a: Vec, b: Vec, scale: Scalar = 1.0) -> Vec:
    """a + scale b."""
    return a[0] + scale * b[0], a[1] + scale * b[1]


def cross(a: Vec, b: Vec) -> Scalar:
    """The third component of a x b."""
    return a[0] * b[1] - a[1] * b[0]


def turn(angle: tuple[Scalar, Scalar], v: Vec) -> Vec:
    """v turned by an angle, given as (cosine, sine)."""
    c, s = angle
    return c * v[0] - s * v[1], s * v[0] + c * v[1]


def turn_back(angle: tuple[Scalar, Scalar], v: Vec) -> Vec:
    """v turned by the opposite of an angle, given as (cosine, sine)."""
    c, s = angle
    return c * v[0] + s * v[1], -s * v[0] + c * v[1]


def angle_of(body: Body) -> tuple[Scalar, Scalar]:
    """Cosine and sine of a body's angle."""
    return jnp.cos(body.a), jnp.sin(body.a)


def pose_of(body: Body) -> Pose:
    """A body's place."""
    return Pose(body.x, body.y, body.a, *angle_of(body))


def moved(pose: Pose, shape: Shape, arm: Scalar, p: Vec, one: Scalar) -> Pose:
    """The pose after a pseudo-impulse p, which turns it as much as one of 1 at lever arm `arm` does."""
    turned = shape.inv_inertia * arm
    x, y, a = kept(one, pose.x + shape.inv_mass * p[0], pose.y + shape.inv_mass * p[1], pose.a + turned)
    return Pose(x, y, a, *_turned(pose, turned, one))


def twisted(pose: Pose, angle: Scalar, one: Scalar) -> Pose:
    """The pose turned by a small angle (rad)."""
    c, s = _turned(pose, angle, one)
    return pose._replace(a=pose.a + angle, c=c, s=s)


def _turned(pose: Pose, angle: Scalar, one: Scalar) -> Vec:
    """Cosine and sine after a turn of less than half a radian: by their series, which costs a tenth of `sin`."""
    (angle,) = kept(one, angle)
    square = angle * angle
    c = 1.0 - square * (0.5 - square * (1.0 / 24.0 - square / 720.0))
    s = angle * (1.0 - square * (1.0 / 6.0 - square * (1.0 / 120.0 - square / 5040.0)))
    return kept_pair(one, turn((c, s), pose.angle))


def least(values: list[Scalar]) -> Scalar:
    """The smallest of some scalars."""
    found = values[0]
    for value in values[1:]:
        found = jnp.minimum(found, value)
    return found


def pick(index: Scalar, values: list[Scalar]) -> Scalar:
    """values[index], without a gather."""
    found = values[0]
    for i, value in enumerate(values[1:], 1):
        found = jnp.where(index == i, value, found)
    return found


def choose(which: Scalar, a: Vec, b: Vec) -> Vec:
    """A where `which`, else b."""
    return jnp.where(which, a[0], b[0]), jnp.where(which, a[1], b[1])


def kick(shape: Shape, v: Velocity, r: Vec, p: Vec, sign: float = 1.0) -> Velocity:
    """Velocity after an impulse sign p (N s) at arm r (m)."""
    m, i = sign * shape.inv_mass, sign * shape.inv_inertia
    return v[0] + m * p[0], v[1] + m * p[1], v[2] + i * cross(r, p)


def polygon(vertices: list[Vec], density: float, friction: float) -> tuple[Shape, Vec]:
    """A shape from corners (m, counter-clockwise), kg/m^2 and friction against the ground (b2PolygonShape).

    Returns it and its centroid in the corners' frame.
    """
    area = cx = cy = inertia = 0.0
    n = len(vertices)
    for i in range(n):
        a, b = vertices[i], vertices[(i + 1) % n]
        part = cross(a, b)
        area += part / 2
        cx, cy = cx + part * (a[0] + b[0]) / 6, cy + part * (a[1] + b[1]) / 6
        inertia += part / 12 * sum(a[k] ** 2 + a[k] * b[k] + b[k] ** 2 for k in (0, 1))
    centre = (cx / area, cy / area)
    mass = density * area
    about = density * inertia - mass * dot(centre, centre)
    moved = tuple(sub(v, centre) for v in vertices)
    normals = []
    for i in range(n):
        side = sub(moved[(i + 1) % n], moved[i])
        length = math.hypot(*side)
        normals.append((side[1] / length, -side[0] / length))
    return Shape(moved, tuple(normals), 1 / mass, 1 / about, friction), centre


def in_world(shape: Shape, body: Body, one: Scalar) -> tuple[list[Vec], list[Vec]]:
    """The polygon's corners and outward normals in the world."""
    angle = angle_of(body)
    corners = [add((body.x, body.y), turn(angle, v)) for v in shape.vertices]
    return [kept_pair(one, v) for v in corners], [kept_pair(one, turn(angle, n)) for n in shape.normals]

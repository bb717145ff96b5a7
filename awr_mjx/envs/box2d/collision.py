"""Where a polygon touches an edge of the ground: b2EPCollider, for edges whose upper side alone counts."""

from typing import NamedTuple

import jax.numpy as jnp

from awr_mjx.envs.box2d.shapes import (
    Body,
    Scalar,
    Vec,
    add,
    angle_of,
    choose,
    dot,
    kept,
    kept_pair,
    least,
    pick,
    sub,
    turn_back,
)

SLOP = 0.005  # m, penetration that is let be
RADIUS = 4 * SLOP  # m, the skins of an edge and a polygon together

Polygon = tuple[list[Vec], list[Vec]]  # corners and outward normals in the world


class Edge(NamedTuple):
    """A piece of ground: its number, its left and right ends (m), and its upward normal."""

    number: Scalar
    left: Vec
    right: Vec
    up: Vec


def edge(number: Scalar, left: Vec, right: Vec, one: Scalar) -> Edge:
    """An edge from its ends."""
    left, right = kept_pair(one, left), kept_pair(one, right)
    along = sub(right, left)
    length = jnp.sqrt(dot(along, along))
    return Edge(number, left, right, (-along[1] / length, along[0] / length))


class Point(NamedTuple):
    """A point of contact.

    Attributes:
      key: a whole number, which features touch, to find the point again a step later; -1 where nothing touches.
      x, y: where (m).
      clipped: the corner that makes it, in its own body's frame (m): the leg's, or the world's.
    """

    key: Scalar
    x: Scalar
    y: Scalar
    clipped: Vec

    @property
    def there(self) -> Scalar:
        """Whether anything touches."""
        return self.key >= 0


class Manifold(NamedTuple):
    """Up to two points in which a body touches an edge.

    Attributes:
      normal: from the ground to the body, in the world.
      points: two.
      of_body: the reference face is the body's, not the edge's.
      plane: a point of the reference face (m), in its own body's frame.
      normal_local: outward normal of the reference face, in its own body's frame.
    """

    normal: Vec
    points: tuple[Point, Point]
    of_body: Scalar
    plane: Vec
    normal_local: Vec

    @property
    def there(self) -> Scalar:
        """Whether anything touches."""
        return self.points[0].there | self.points[1].there


def _separations(shape: Polygon, ground: Edge, one: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Along the edge's normal, along the polygon's best normal, and which that is."""
    corners, normals = shape
    edge_sep = least([dot(ground.up, sub(p, ground.left)) for p in corners])
    face_seps = kept(
        one,
        *(
            jnp.minimum(dot(n, sub(ground.left, p)), dot(n, sub(ground.right, p)))
            for p, n in zip(corners, normals, strict=True)
        ),
    )
    best, which = face_seps[0], jnp.zeros_like(edge_sep)
    for i, sep in enumerate(face_seps[1:], 1):
        which = jnp.where(sep > best, i, which)
        best = jnp.maximum(best, sep)
    return kept(one, edge_sep, best, which)


def distance(shape: Polygon, ground: Edge, one: Scalar) -> Scalar:
    """Distance (m) of a polygon and an edge without their skins; below 0 if they overlap."""
    corners, _ = shape
    edge_sep, face_sep, _ = _separations(shape, ground, one)
    overlap = jnp.maximum(edge_sep, face_sep)
    near = [_to_segment(p, ground.left, ground.right) for p in corners]
    sides = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    near += [_to_segment(v, a, b) for v in (ground.left, ground.right) for a, b in sides]
    return jnp.where(overlap > 0, jnp.sqrt(least(near)), overlap)


def _to_segment(p: Vec, a: Vec, b: Vec) -> Scalar:
    """Squared distance of a point and a segment."""
    along, to = sub(b, a), sub(p, a)
    share = jnp.clip(dot(to, along) / dot(along, along), 0.0, 1.0)
    rest = sub(to, (share * along[0], share * along[1]))
    return dot(rest, rest)


def collide(shape: Polygon, body: Body, ground: Edge, one: Scalar) -> Manifold:
    """The points in which a polygon touches the upper side of an edge."""
    corners, normals = shape
    edge_sep, face_sep, face = _separations(shape, ground, one)
    near = (edge_sep <= RADIUS) & (face_sep <= RADIUS)
    of_body = face_sep > 0.98 * edge_sep + 0.001
    # Where the edge's face is the reference, the polygon's most opposed side is clipped to the edge's ends.
    against = kept(one, *(dot(ground.up, m) for m in normals))
    lowest, opposed = against[0], jnp.zeros_like(face)
    for i, value in enumerate(against[1:], 1):
        opposed = jnp.where(value < lowest, i, opposed)
        lowest = jnp.minimum(lowest, value)
    (first,) = kept(one, jnp.where(of_body, face, opposed))
    nexts = [*corners[1:], corners[0]]
    p1 = kept_pair(one, (pick(first, [p[0] for p in corners]), pick(first, [p[1] for p in corners])))
    p2 = kept_pair(one, (pick(first, [p[0] for p in nexts]), pick(first, [p[1] for p in nexts])))
    m = kept_pair(one, (pick(face, [v[0] for v in normals]), pick(face, [v[1] for v in normals])))
    # Either way: reference segment r1-r2 with outward normal g, incident segment s1-s2.
    r1, r2 = choose(of_body, p1, ground.right), choose(of_body, p2, ground.left)
    s1, s2 = choose(of_body, ground.left, p1), choose(of_body, ground.right, p2)
    g = kept_pair(one, choose(of_body, m, ground.up))
    side = sub(r2, r1)
    (span,) = kept(one, jnp.sqrt(dot(side, side)))
    along = (side[0] / span, side[1] / span)
    d1, d2 = kept(one, dot(along, sub(s1, r1)), dot(along, sub(s2, r1)))
    outside = (jnp.maximum(d1, d2) < 0) | (jnp.minimum(d1, d2) > span)
    slope = jnp.where(d2 == d1, 1.0, d2 - d1)
    angle, origin = angle_of(body), (body.x, body.y)

    def local(v: Vec, inside: Scalar) -> Vec:
        return kept_pair(one, choose(inside, turn_back(angle, sub(v, origin)), v))

    points = []
    for k, d in enumerate((d1, d2)):
        share = jnp.where(d2 == d1, float(k), (jnp.clip(d, 0.0, span) - d1) / slope)
        q = kept_pair(one, add(s1, sub(s2, s1), share))
        (separation,) = kept(one, dot(g, sub(q, r1)))
        there = near & ~outside & (separation <= RADIUS)
        moved = jnp.where(d < 0, 1.0, 0.0) + jnp.where(d > span, 2.0, 0.0)
        key = ((ground.number * 8 + first) * 2 + jnp.where(of_body, 1.0, 0.0)) * 8 + k * 4 + moved
        (key,) = kept(one, jnp.where(there, key, -1.0))
        x, y = kept_pair(one, add(q, g, -0.5 * separation))
        points.append(Point(key, x, y, local(q, ~of_body)))
    sign = jnp.where(of_body, -1.0, 1.0)
    return Manifold(
        normal=(sign * g[0], sign * g[1]),
        points=(points[0], points[1]),
        of_body=of_body,
        plane=local(r1, of_body),
        normal_local=kept_pair(one, choose(of_body, turn_back(angle, g), g)),
    )

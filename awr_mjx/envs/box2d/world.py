"""One step of the world: b2World::Step for a hull with two legs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from awr_mjx.envs.box2d import contacts, hinges, shapes
from awr_mjx.envs.box2d.collision import RADIUS, SLOP, Edge, Manifold, collide, distance, edge
from awr_mjx.envs.box2d.contacts import Impulse
from awr_mjx.envs.box2d.hinges import ANGULAR_SLOP, Hinge, HingeState
from awr_mjx.envs.box2d.shapes import Body, Pose, Scalar, Shape, Velocity, in_world, kept

TOI_TARGET, TOI_TOLERANCE = SLOP, 0.25 * SLOP  # m, distance without skins at which continuous collision stops a body
TOI_SEARCH, TOI_POSITIONS, TOI_VELOCITIES = 8, 5, 20  # iterations; Box2D: until found, 20, as many as of a step
ORDER = (1, 0)  # of the hinges: Box2D begins with the newest body
SLEEP_SPEED, SLEEP_TURN, SLEEP_SECONDS = 0.01, ANGULAR_SLOP, 0.5  # m/s, rad/s


class Scene(NamedTuple):
    """What does not change.

    Attributes:
      hull, leg: shapes; legs collide with the ground only, the hull's touching it is told and not resolved.
      hinges: of the legs.
      gravity: m/s^2, downwards below 0.
      dt: s.
      spacing: m between the ground's corners, of which the first is at x = 0.
      velocity_iterations, position_iterations: passes over all constraints; positions end early where all fit.
    """

    hull: Shape
    leg: Shape
    hinges: tuple[Hinge, Hinge]
    gravity: float
    dt: float
    spacing: float
    velocity_iterations: int
    position_iterations: int


@struct.dataclass
class World:
    """What changes; all are scalars.

    Attributes:
      bodies: hull and legs.
      hinges: their impulses.
      impulses: for each leg those of its four points of contact, two for each of the two edges below it.
      touching: int32 for each leg, bit j set where it touches edge j of the ground.
      grounded: bool for each leg: it has touched an edge since it last left one, as Gymnasium's listener counts.
      near: bool, the skins of hull and ground touch, which is told a step later.
      crashed: bool, the hull has touched the ground.
      slow: s for which each body has been slow.
      asleep: bool, all have been slow for long enough.
    """

    bodies: tuple[Body, Body, Body]
    hinges: tuple[HingeState, HingeState]
    impulses: tuple[tuple[Impulse, ...], tuple[Impulse, ...]]
    touching: tuple[Scalar, Scalar]
    grounded: tuple[Scalar, Scalar]
    near: Scalar
    crashed: Scalar
    slow: tuple[Scalar, Scalar, Scalar]
    asleep: Scalar


def initial(bodies: tuple[Body, Body, Body]) -> World:
    """A world in which nothing touches yet."""
    zero, no = jnp.float32(0), jnp.bool_(False)
    nothing = (Impulse(jnp.float32(-1), zero, zero),) * 4
    return World(
        bodies=bodies,
        hinges=(HingeState(zero, zero, zero, zero, zero),) * 2,
        impulses=(nothing, nothing),
        touching=(jnp.int32(0),) * 2,
        grounded=(no, no),
        near=no,
        crashed=no,
        slow=(zero, zero, zero),
        asleep=no,
    )


def _edges_below(scene: Scene, ground: jax.Array, x: Scalar, one: Scalar) -> list[Edge]:
    """The two edges nearest to x, of a ground of heights float32 [K] (m)."""
    last = ground.shape[0] - 2
    place = x / scene.spacing
    own = jnp.clip(jnp.floor(place), 0.0, float(last))
    side = jnp.where(place - own > 0.5, 1.0, -1.0)
    other = jnp.where((own + side < 0) | (own + side > last), own - side, own + side)
    heights = [ground[i] for i in range(last + 2)]
    found = []
    for number in kept(one, own, other):
        left = number * scene.spacing
        ends = (left, shapes.pick(number, heights[:-1])), (left + scene.spacing, shapes.pick(number, heights[1:]))
        found.append(edge(number, *ends, one))
    return found


def _manifolds(shape: Shape, body: Body, edges: list[Edge], one: Scalar) -> tuple[list[Manifold], Scalar]:
    """Where a body touches the edges, and the bits of those that it does."""
    polygon = in_world(shape, body, one)
    found = [collide(polygon, body, below, one) for below in edges]
    bits = [
        jnp.where(manifold.there, 1 << below.number.astype(jnp.int32), 0)
        for manifold, below in zip(found, edges, strict=True)
    ]
    return found, sum(bits)


def _gap(shape: Shape, body: Body, edges: list[Edge], one: Scalar) -> Scalar:
    """Distance (m) of a body and the ground."""
    polygon = in_world(shape, body, one)
    return kept(one, shapes.least([distance(polygon, below, one) for below in edges]))[0]


def _velocity(body: Body) -> Velocity:
    return body.vx, body.vy, body.w


def _moved(body: Body, v: Velocity, seconds: Scalar) -> Body:
    return Body(body.x + seconds * v[0], body.y + seconds * v[1], body.a + seconds * v[2], *v)


def step(scene: Scene, ground: jax.Array, world: World) -> World:
    """The world `dt` later, above a ground of heights float32 [K] (m); forces are changes of velocity made before."""
    hull, *legs = world.bodies
    one = shapes.one_like(hull.x)

    def meet(leg: Body) -> tuple[list[Edge], list[Manifold], Scalar]:
        edges = _edges_below(scene, ground, leg.x, one)
        return edges, *_manifolds(scene.leg, leg, edges, one)

    found = [meet(leg) for leg in legs]
    after, start = _solve(scene, world, [manifolds for _, manifolds, _ in found], one)

    hull, *legs = after.bodies
    caught = [_catch(scene, start[i], legs[i], found[i][0], one) for i in range(2)]
    touching, grounded = [], []
    for i, (_, late) in enumerate(caught):
        _, _, now = found[i]
        begun, ended = (now & ~world.touching[i]) != 0, (world.touching[i] & ~now) != 0
        # An edge that is left is an older contact than one that is reached, and Box2D tells of it later.
        grounded.append(((begun | world.grounded[i]) & ~ended) | ((late & ~now) != 0))
        touching.append(now | late)
    gap = _gap(scene.hull, hull, _edges_below(scene, ground, hull.x, one), one)
    return after.replace(  # type: ignore[attr-defined]
        bodies=(hull, caught[0][0], caught[1][0]),
        touching=(touching[0], touching[1]),
        grounded=(grounded[0], grounded[1]),
        crashed=world.crashed | world.near | (gap < TOI_TARGET),
        near=gap <= RADIUS,
    )


def step_in_flight(scene: Scene, world: World) -> World:
    """The world `dt` later, far above the ground: the same, and compiled in a tenth of the time."""
    after, _ = _solve(scene, world, [[], []], shapes.one_like(world.bodies[0].x))
    return after.replace(impulses=world.impulses)  # type: ignore[attr-defined]


def _solve(scene: Scene, world: World, manifolds: list[list[Manifold]], one: Scalar) -> tuple[World, tuple[Body, Body]]:
    """The world after its constraints have been solved, and the legs before they were moved (b2Island::Solve)."""
    hull, *legs = (body._replace(vy=body.vy + scene.dt * scene.gravity) for body in world.bodies)
    start = legs[0], legs[1]
    hull, legs, states, impulses = _solve_velocities(scene, hull, legs, manifolds, world, one)
    hull, legs, solved = _solve_positions(scene, hull, legs, manifolds, states, one)
    slow = []
    for body, seconds in zip((hull, *legs), world.slow, strict=True):
        fast = (body.w**2 > SLEEP_TURN**2) | (body.vx**2 + body.vy**2 > SLEEP_SPEED**2)
        slow.append(jnp.where(fast, 0.0, seconds + scene.dt))
    after = world.replace(  # type: ignore[attr-defined]
        bodies=(hull, legs[0], legs[1]),
        hinges=(states[0], states[1]),
        impulses=(tuple(impulses[0]), tuple(impulses[1])),
        slow=(slow[0], slow[1], slow[2]),
        asleep=(shapes.least(slow) >= SLEEP_SECONDS) & solved,
    )
    return after, start


def _solve_velocities(
    scene: Scene, hull: Body, legs: list[Body], manifolds: list[list[Manifold]], world: World, one: Scalar
) -> tuple[Body, list[Body], list[HingeState], list[list[Impulse]]]:
    """Velocities that satisfy all constraints, and the bodies where these carry them."""
    both = scene.leg, scene.leg
    states = [hinges.start(scene.hinges[i], world.hinges[i], hull, legs[i]) for i in range(2)]
    hinge_rows = [hinges.row(scene.hull, both[i], scene.hinges[i], hull, legs[i], one) for i in range(2)]
    contact_rows = [contacts.rows(both[i], legs[i], manifolds[i], one) for i in range(2)]
    impulses = [contacts.remembered(manifolds[i], world.impulses[i], one) for i in range(2)]
    vh, vl = _velocity(hull), [_velocity(leg) for leg in legs]
    for i in range(2):
        vl[i] = contacts.warm_start(both[i], vl[i], contact_rows[i], impulses[i], one)
    for i in ORDER:
        vh, vl[i] = hinges.warm_start(scene.hull, both[i], hinge_rows[i], vh, vl[i], states[i], one)

    def iterate(_: Any, carry: Any) -> Any:
        vh, vl, states, impulses = carry
        vl, states, impulses = list(vl), list(states), list(impulses)
        for i in ORDER:
            vh, vl[i], states[i] = hinges.solve_velocity(
                scene.hull, both[i], scene.hinges[i], hinge_rows[i], vh, vl[i], states[i], scene.dt, one
            )
        for i in range(2):
            vl[i], impulses[i] = contacts.solve_velocity(both[i], vl[i], contact_rows[i], impulses[i], one)
        return vh, vl, states, impulses

    carry = (vh, vl, states, impulses)
    vh, vl, states, impulses = jax.lax.fori_loop(0, scene.velocity_iterations, iterate, carry)
    legs = [_moved(leg, v, scene.dt) for leg, v in zip(legs, vl, strict=True)]
    return _moved(hull, vh, scene.dt), legs, states, impulses


def _solve_positions(
    scene: Scene, hull: Body, legs: list[Body], manifolds: list[list[Manifold]], states: list[HingeState], one: Scalar
) -> tuple[Body, list[Body], Scalar]:
    """Bodies without overlap and with their hinges closed, and whether that came out."""

    def correct(carry: Any) -> Any:
        trunk, limbs, solved, count = carry
        limbs, on, fits = list(limbs), ~solved, jnp.bool_(True)
        for i in range(2):
            limbs[i], worst = contacts.solve_position(scene.leg, limbs[i], manifolds[i], on, contacts.BAUMGARTE, one)
            fits = fits & (worst >= -3 * SLOP)
        for i in ORDER:
            trunk, limbs[i], small = hinges.solve_position(
                scene.hull, scene.leg, scene.hinges[i], states[i].side, trunk, limbs[i], on, one
            )
            fits = fits & small
        return trunk, limbs, solved | fits, count + 1

    def going(carry: Any) -> Scalar:
        *_, solved, count = carry
        return ~solved & (count < scene.position_iterations)

    poses = shapes.pose_of(hull), [shapes.pose_of(leg) for leg in legs]
    trunk, limbs, solved, _ = jax.lax.while_loop(going, correct, (*poses, jnp.bool_(False), 0))
    return _placed(hull, trunk), [_placed(leg, limb) for leg, limb in zip(legs, limbs, strict=True)], solved


def _placed(body: Body, pose: Pose) -> Body:
    return body._replace(x=pose.x, y=pose.y, a=pose.a)


def _catch(scene: Scene, start: Body, end: Body, edges: list[Edge], one: Scalar) -> tuple[Body, Scalar]:
    """Stops a leg that has gone too deep where it touched, and lets it go on from there (b2World::SolveTOI).

    Returns it, and the bits of the edges that it was stopped by.
    """
    shape = scene.leg
    first, last = _gap(shape, start, edges, one), _gap(shape, end, edges, one)
    touching = (first > 0) & (first < TOI_TARGET + TOI_TOLERANCE)
    hit = touching | ((first >= TOI_TARGET + TOI_TOLERANCE) & (last < TOI_TARGET - TOI_TOLERANCE))

    def at(share: Scalar) -> Body:
        x, y, a = (a + share * (b - a) for a, b in zip(start[:3], end[:3], strict=True))
        return end._replace(x=x, y=y, a=a)

    def search(i: Any, carry: Any) -> Any:
        low, high, above, below, found, done = carry
        secant = low + (high - low) * above / jnp.where(above == below, 1.0, above - below)
        (share,) = kept(one, jnp.where(i % 2 == 1, secant, 0.5 * (low + high)))
        gap = _gap(shape, at(share), edges, one) - TOI_TARGET
        new = tuple(
            jnp.where(gap > 0, yes, no) for yes, no in ((share, low), (high, share), (gap, above), (below, gap))
        )
        return *new, jnp.where(done, found, share), done | (jnp.abs(gap) < TOI_TOLERANCE)

    zero = jnp.zeros_like(first)
    carry = (zero, zero + 1, first - TOI_TARGET, last - TOI_TARGET, zero, touching)
    *_, share, _ = jax.lax.fori_loop(0, TOI_SEARCH, search, carry)
    body = at(share)
    manifolds, bits = _manifolds(shape, body, edges, one)

    def correct(_: Any, carry: Any) -> Any:
        pose, solved = carry
        pose, worst = contacts.solve_position(shape, pose, manifolds, ~solved, contacts.TOI_BAUMGARTE, one)
        return pose, solved | (worst >= -1.5 * SLOP)

    pose, _ = jax.lax.fori_loop(0, TOI_POSITIONS, correct, (shapes.pose_of(body), jnp.zeros_like(hit)))
    body = _placed(body, pose)
    rows = contacts.rows(shape, body, manifolds, one)
    none = [Impulse(point.key, zero, zero) for manifold in manifolds for point in manifold.points]

    def iterate(_: Any, carry: Any) -> Any:
        v, impulses = carry
        return contacts.solve_velocity(shape, v, rows, impulses, one)

    v, _ = jax.lax.fori_loop(0, TOI_VELOCITIES, iterate, (_velocity(body), none))
    after = _moved(body, v, (1.0 - share) * scene.dt)
    caught = Body(*(jnp.where(hit, new, old) for new, old in zip(after, end, strict=True)))
    return caught, jnp.where(hit, bits, 0)

"""Gymnasium's LunarLander-v3, which is the paper's LunarLander-v2 in its rules, with Box2D's own method in JAX."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from awr_mjx.envs.base import State, Twin
from awr_mjx.envs.box2d.hinges import Hinge
from awr_mjx.envs.box2d.shapes import Body, Vec, add, angle_of, cross, polygon, sub, turn
from awr_mjx.envs.box2d.world import Scene, World, initial, step, step_in_flight

SCALE = 30.0  # pixels of Gymnasium's picture per metre
WIDTH, HEIGHT = 600 / SCALE, 400 / SCALE  # m
CHUNKS = 11  # corners of the ground
PAD_Y = HEIGHT / 4  # m, from which the observed height counts; the pad itself lies at 0.99 of it
HULL = ((-14, 17), (-17, 0), (-17, -10), (17, -10), (17, 0), (14, 17))  # pixels, counter-clockwise
LEG_AWAY, LEG_DOWN, LEG_WIDTH, LEG_HEIGHT = 20, 18, 2, 8  # pixels; width and height are halves
HULL_FRICTION, LEG_FRICTION, GROUND_FRICTION = 0.1, 0.2, 0.1
MAIN_POWER, SIDE_POWER = 13.0, 0.6
MAIN_DOWN, SIDE_AWAY, SIDE_HEIGHT = 4, 12, 14  # pixels
START_FORCE = 1000.0  # N, at most, for one step
# Gymnasium's limits of the legs' angles, less the angle in which they are hung: 0.05 of their side.
LIMITS = {-1: (0.4 - 0.05, 0.9 - 0.05), 1: (-0.9 + 0.05, -0.4 + 0.05)}
# Box2D's own. Fewer are measurably another physics: docs/decisions.md.
VELOCITY_ITERATIONS, POSITION_ITERATIONS = 180, 60


@struct.dataclass
class Flight:
    """What a lander needs to go on: its world, the ground's heights float32 [11] (m), the last shaping, noise and wind.

    `wind` and `turbulence` are where the lander is in the patterns of both, int32.
    """

    world: World
    ground: jax.Array
    shaping: jax.Array
    key: jax.Array
    wind: jax.Array
    turbulence: jax.Array


class LunarLander:
    """Land between the flags, softly, upright, with little fuel.

    Observation float32 [8]: position of the hull (in half widths and heights of the picture; the pad is at 0, 0),
    velocity, angle (rad), angular velocity, and whether the legs touch the ground; scaled as in Gymnasium.
    Action int32 []: nothing, left engine, main engine, right engine; the engines' thrust has noise.
    Reward: the change of -100 (distance + speed + |angle|) + 10 for each leg on the ground, less 0.3 for the main
    engine and 0.03 for a side engine; instead of it -100 for a crash or leaving to a side, 100 for coming to rest.
    Episode ends with either.
    """

    observation_size = 8
    action_size = 4
    discrete = True
    episode_length = 1000
    dt = 0.02
    observation_names = ("x", "y", "vx", "vy", "angle", "angular_velocity", "left_leg", "right_leg")
    action_names = ("nothing", "left_engine", "main_engine", "right_engine")

    wind_power = 15.0  # N
    turbulence_power = 1.5  # N m

    def __init__(
        self,
        wind: bool = False,
        velocity_iterations: int = VELOCITY_ITERATIONS,
        position_iterations: int = POSITION_ITERATIONS,
    ) -> None:
        """`wind` is Gymnasium's `enable_wind`; the iterations are passes of the solver over its constraints."""
        self.has_wind = wind
        self.gymnasium = Twin("LunarLander-v3", {"enable_wind": True} if wind else {})
        hull, self.centre = polygon([(x / SCALE, y / SCALE) for x, y in HULL], 5.0, _friction(HULL_FRICTION))
        w, h = LEG_WIDTH / SCALE, LEG_HEIGHT / SCALE
        leg, _ = polygon([(-w, -h), (w, -h), (w, h), (-w, h)], 1.0, _friction(LEG_FRICTION))
        to_hull = (-self.centre[0], -self.centre[1])
        hinges = [Hinge(to_hull, (i * LEG_AWAY / SCALE, LEG_DOWN / SCALE), *LIMITS[i], 0.3 * i, 40.0) for i in (-1, 1)]
        self.scene = Scene(
            hull=hull,
            leg=leg,
            hinges=(hinges[0], hinges[1]),
            gravity=-10.0,
            dt=self.dt,
            spacing=WIDTH / (CHUNKS - 1),
            velocity_iterations=velocity_iterations,
            position_iterations=position_iterations,
        )

    def reset(self, key: jax.Array) -> State:
        """Returns the state over new ground after a step with a force U(-1000, 1000) N in x and in y, engines off."""
        ground_key, force_key, wind_key, key = jax.random.split(key, 4)
        heights = jax.random.uniform(ground_key, (CHUNKS + 1,), jnp.float32, 0.0, HEIGHT / 2)
        heights = heights.at[CHUNKS // 2 - 2 : CHUNKS // 2 + 3].set(PAD_Y)
        ground = 0.33 * (jnp.roll(heights, 1) + heights + jnp.roll(heights, -1))[:CHUNKS]
        force = jax.random.uniform(force_key, (2,), jnp.float32, -START_FORCE, START_FORCE)
        wind, turbulence = jax.random.randint(wind_key, (2,), -9999, 9999)
        flight = Flight(self.hung(), ground, jnp.float32(0), key, wind, turbulence)
        hull, *legs = flight.world.bodies
        seconds = self.dt * self.scene.hull.inv_mass
        hull = hull._replace(vx=hull.vx + seconds * force[0], vy=hull.vy + seconds * force[1])
        if self.has_wind:
            hull = self._blow(flight, hull)
            flight = flight.replace(wind=wind + 1, turbulence=turbulence + 1)  # type: ignore[attr-defined]
        world = step_in_flight(self.scene, flight.world.replace(bodies=(hull, *legs)))  # type: ignore[attr-defined]
        obs, zero = self.observe(world), jnp.zeros((), jnp.float32)
        flight = flight.replace(world=world, shaping=_shaping(obs))  # type: ignore[attr-defined]
        return State(flight, obs, zero, zero, {"landed": zero})

    def hung(self) -> World:
        """A world with the lander at the upper edge of the picture, at rest, its legs not yet pulled into place."""
        zero = jnp.float32(0)

        def body(x: float, y: float, angle: float) -> Body:
            return Body(jnp.float32(x), jnp.float32(y), jnp.float32(angle), zero, zero, zero)

        hull = body(WIDTH / 2 + self.centre[0], HEIGHT + self.centre[1], 0.0)
        legs = [body(WIDTH / 2 - i * LEG_AWAY / SCALE, HEIGHT, 0.05 * i) for i in (-1, 1)]
        return initial((hull, legs[0], legs[1]))

    def step(self, state: State, action: jax.Array) -> State:
        """Returns the state 0.02 s later, with `action` int32 [] of 0 to 3."""
        flight = state.data
        key, noise_key = jax.random.split(flight.key)
        noise = jax.random.uniform(noise_key, (2,), jnp.float32, -1.0, 1.0) / SCALE
        hull, *legs = flight.world.bodies
        blown = self._blow(flight, hull) if self.has_wind else hull
        hull = self.fire(blown, action, (noise[0], noise[1]))
        world = step(self.scene, flight.ground, flight.world.replace(bodies=(hull, *legs)))
        obs = self.observe(world)
        shaping = _shaping(obs)
        lost = _lost(world, obs)
        parts = _reward_terms(shaping - flight.shaping, action, lost, world.asleep)
        reward = jnp.asarray(sum(parts.values()))
        done = (lost | world.asleep).astype(jnp.float32)
        on = jnp.where(flight.world.grounded[0] | flight.world.grounded[1], 0, 1)
        flight = Flight(world, flight.ground, shaping, key, flight.wind + on, flight.turbulence + on)
        return State(flight, obs, reward, done, {"landed": world.asleep.astype(jnp.float32)})

    def terms(self, state: State, action: jax.Array, after: State) -> dict[str, jax.Array]:
        """Returns the parts of the reward of the step to `after`, float32 [] by name."""
        world = after.data.world
        shaping = after.data.shaping - state.data.shaping
        return _reward_terms(shaping, action, _lost(world, after.obs), world.asleep)

    def _blow(self, flight: Flight, hull: Body) -> Body:
        """The hull with a step of wind and turbulence, unless a leg is on the ground."""

        def pattern(index: jax.Array) -> jax.Array:
            t = index.astype(jnp.float32)
            return jnp.tanh(jnp.sin(0.02 * t) + jnp.sin(math.pi * 0.01 * t))

        seconds = jnp.where(flight.world.grounded[0] | flight.world.grounded[1], 0.0, self.dt)
        force = pattern(flight.wind) * self.wind_power
        torque = pattern(flight.turbulence) * self.turbulence_power
        shape = self.scene.hull
        return hull._replace(
            vx=hull.vx + seconds * shape.inv_mass * force, w=hull.w + seconds * shape.inv_inertia * torque
        )

    def fire(self, hull: Body, action: jax.Array, noise: Vec) -> Body:
        """The hull after the impulse of the engine that `action` int32 [] fires; `noise` is two U(-1, 1) / 30 (m)."""
        tip = (jnp.sin(hull.a), jnp.cos(hull.a))
        position = self.position(hull)

        def along(down: jax.Array, across: jax.Array) -> Vec:
            return down * tip[0] - across * tip[1], -down * tip[1] - across * tip[0]

        main = along(MAIN_DOWN / SCALE + 2 * noise[0], noise[1])
        fired = self._push(hull, main, -MAIN_POWER * (action == 2), add(position, main))
        # Gymnasium multiplies the height of the side engines' thrust with 17 in x and with 14 in y.
        small = along(noise[0], 3 * noise[1] + (action - 2) * SIDE_AWAY / SCALE)
        at = add(add(position, small), (-tip[0] * 17 / SCALE, tip[1] * SIDE_HEIGHT / SCALE))
        return self._push(fired, small, -SIDE_POWER * ((action == 1) | (action == 3)), at)

    def _push(self, hull: Body, impulse: Vec, scale: jax.Array, at: Vec) -> Body:
        shape, arm = self.scene.hull, sub(at, (hull.x, hull.y))
        return hull._replace(
            vx=hull.vx + scale * shape.inv_mass * impulse[0],
            vy=hull.vy + scale * shape.inv_mass * impulse[1],
            w=hull.w + scale * shape.inv_inertia * cross(arm, impulse),
        )

    def position(self, hull: Body) -> Vec:
        """The point of the hull (m) that is observed: the origin of its drawing, not its centre of mass."""
        return sub((hull.x, hull.y), turn(angle_of(hull), self.centre))

    def observe(self, world: World) -> jax.Array:
        """The observation float32 [8] of a world."""
        hull = world.bodies[0]
        x, y = self.position(hull)
        numbers = (
            (x - WIDTH / 2) / (WIDTH / 2),
            (y - (PAD_Y + LEG_DOWN / SCALE)) / (HEIGHT / 2),
            hull.vx * (WIDTH / 2) * self.dt,
            hull.vy * (HEIGHT / 2) * self.dt,
            hull.a,
            20.0 * hull.w * self.dt,
            *world.grounded,
        )
        return jnp.stack([jnp.asarray(number, jnp.float32) for number in numbers])

    def positions(self, state: State) -> jax.Array:
        """Returns what `picture` needs, float32 [22]: places of hull and legs, the ground, which legs touch it."""
        flight = state.data
        places = [part for body in flight.world.bodies for part in body[:3]]
        return jnp.concatenate([jnp.stack(places), flight.ground, jnp.stack(flight.world.grounded).astype(jnp.float32)])

    def picture(self, pose: np.ndarray, action: np.ndarray, width: int, height: int) -> np.ndarray:
        """Returns an image, uint8 [height, width, 3], of `positions` [22] after `action` [1]."""
        from awr_mjx.envs.gym import lander_picture

        spacing, middle = self.scene.spacing, CHUNKS // 2
        return lander_picture.draw(
            bodies=pose[:9].reshape(3, 3),
            shapes=(np.array(self.scene.hull.vertices), np.array(self.scene.leg.vertices)),
            ground=pose[9:20],
            grounded=pose[20:] > 0,
            flame=self._flame(int(action[0])),
            size=(width, height),
            world=(WIDTH, 0.75 * WIDTH),  # a little more than Gymnasium's, whose lander begins half out of sight
            pad=(spacing * (middle - 1), spacing * (middle + 1)),
        )

    def _flame(self, action: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Where the flame of an action begins and ends in the hull's frame (m)."""
        if action == 0:
            return None
        if action == 2:
            start, end = np.array([0, -10]), np.array([0, -34])
        else:
            start, end = (np.array([(action - 2) * x, SIDE_HEIGHT]) for x in (SIDE_AWAY, 28))
        return start / SCALE - self.centre, end / SCALE - self.centre


def _friction(own: float) -> float:
    """Box2D's friction of two surfaces, of which one is the ground."""
    return math.sqrt(own * GROUND_FRICTION)


def _lost(world: World, obs: jax.Array) -> jax.Array:
    """Whether the lander has crashed or left the picture."""
    return world.crashed | (jnp.abs(obs[0]) >= 1.0)


def _reward_terms(shaping: jax.Array, action: jax.Array, lost: jax.Array, landed: jax.Array) -> dict[str, jax.Array]:
    """The parts of the reward; `shaping` is what the step has gained of it."""
    fuel = jnp.where(action == 2, 0.3, jnp.where((action == 1) | (action == 3), 0.03, 0.0))
    over = lost | landed
    return {
        "reward_shaping": jnp.where(over, 0.0, shaping),
        "reward_fuel": jnp.where(over, 0.0, -fuel),
        "reward_crashed": jnp.where(lost & ~landed, -100.0, 0.0),
        "reward_landed": jnp.where(landed, 100.0, 0.0),
    }


def _shaping(obs: jax.Array) -> jax.Array:
    distance, speed = jnp.sqrt(obs[0] ** 2 + obs[1] ** 2), jnp.sqrt(obs[2] ** 2 + obs[3] ** 2)
    return -100 * (distance + speed + jnp.abs(obs[4])) + 10 * (obs[6] + obs[7])

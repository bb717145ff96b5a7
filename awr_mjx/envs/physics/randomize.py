"""Domain randomisation: another robot and another floor in every episode, and now and then a push.

All of it is drawn at reset and stays until the next one, except pushes, which come at random steps.
"""

from typing import Any

import jax
import jax.numpy as jnp

MASS = (0.8, 1.2)  # of each body, with its inertia
FRICTION = (0.6, 1.4)  # of everything that touches, one factor
GAIN = (0.85, 1.15)  # of each motor
PUSH_SPEED = 0.5  # m/s, the largest change of the root's horizontal velocity
PUSH_CHANCE = 0.01  # per control step


def draw(model: Any, key: jax.Array) -> dict[str, jax.Array]:
    """Draws one environment's own fields of `model` (an `mjx.Model`) with `key`.

    Returns `body_mass` [nbody], `body_inertia` [nbody, 3], `geom_friction` [ngeom, 3], which replace the model's.
    """
    key_mass, key_friction = jax.random.split(key)
    mass = jax.random.uniform(key_mass, model.body_mass.shape, jnp.float32, *MASS)
    return {
        "body_mass": model.body_mass * mass,
        "body_inertia": model.body_inertia * mass[:, None],
        "geom_friction": model.geom_friction * jax.random.uniform(key_friction, (), jnp.float32, *FRICTION),
    }


def draw_gains(count: int, key: jax.Array) -> jax.Array:
    """Draws a factor for each of `count` motors, float32 [count]."""
    return jax.random.uniform(key, (count,), jnp.float32, *GAIN)


def push(qvel: jax.Array, directions: int, key: jax.Array) -> jax.Array:
    """Returns velocities [nv] after this step's push, if there is one, along the first `directions` of them."""
    key_chance, key_speed = jax.random.split(key)
    speed = jax.random.uniform(key_speed, (directions,), jnp.float32, -PUSH_SPEED, PUSH_SPEED)
    happens = jax.random.bernoulli(key_chance, PUSH_CHANCE)
    return qvel.at[:directions].add(jnp.where(happens, speed, 0.0))

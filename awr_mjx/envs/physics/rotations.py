"""Unit quaternions (w x y z) in JAX, for one rotation [4] or many [..., 4]."""

import jax
import jax.numpy as jnp


def turn(quat: jax.Array, rotation: jax.Array) -> jax.Array:
    """Returns unit quaternion `quat` [4] turned by the rotation vector [3] (rad) in its own frame."""
    angle = jnp.sqrt(jnp.sum(jnp.square(rotation)) + 1e-20)
    w, vector = jnp.cos(angle / 2), jnp.sin(angle / 2) * rotation / angle
    scalar = quat[:1] * w - quat[1:] @ vector
    turned = jnp.concatenate([scalar, quat[:1] * vector + w * quat[1:] + jnp.cross(quat[1:], vector)])
    return turned / jnp.linalg.norm(turned)


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the rotation [..., 4] by `b` and then `a`."""
    scalar = a[..., :1] * b[..., :1] - jnp.sum(a[..., 1:] * b[..., 1:], -1, keepdims=True)
    vector = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + jnp.cross(a[..., 1:], b[..., 1:])
    return jnp.concatenate([scalar, vector], -1)


def inverse(a: jax.Array) -> jax.Array:
    """Returns the rotation [..., 4] back."""
    return a * jnp.array([1.0, -1.0, -1.0, -1.0])


def vector(a: jax.Array) -> jax.Array:
    """Returns the rotation vector [..., 3] (rad), no longer than pi, of a rotation [..., 4]."""
    a = jnp.where(a[..., :1] < 0, -a, a)
    sine = jnp.sqrt(jnp.sum(jnp.square(a[..., 1:]), -1, keepdims=True) + 1e-20)
    return 2 * jnp.arctan2(sine, a[..., :1]) / sine * a[..., 1:]


def exponential(rotation: jax.Array) -> jax.Array:
    """Returns the rotation [..., 4] of a rotation vector [..., 3] (rad)."""
    angle = jnp.sqrt(jnp.sum(jnp.square(rotation), -1, keepdims=True) + 1e-20)
    return jnp.concatenate([jnp.cos(angle / 2), jnp.sin(angle / 2) / angle * rotation], -1)


def between(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the rotation vector [..., 3] (rad) that turns `a` into `b`, in the frame of `a`."""
    return vector(product(inverse(a), b))


def rotated(quat: jax.Array, xyz: jax.Array) -> jax.Array:
    """Returns vectors [..., 3] turned by rotations [..., 4]."""
    across = 2 * jnp.cross(quat[..., 1:], xyz)
    return xyz + quat[..., :1] * across + jnp.cross(quat[..., 1:], across)


def normalized(quat: jax.Array) -> jax.Array:
    """Returns quaternions [..., 4] of unit length."""
    return quat / jnp.linalg.norm(quat, axis=-1, keepdims=True)


def matrix(quat: jax.Array) -> jax.Array:
    """Returns the matrices [..., 3, 3] of rotations [..., 4]; their columns are the turned axes."""
    return jnp.stack([rotated(quat, axis) for axis in jnp.eye(3)], -1)

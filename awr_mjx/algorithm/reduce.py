"""The one place where numbers are added up over environments or ring rows, on one device or on several.

Environments and ring rows may be shared out over the devices of a mesh, each of which runs the same program on its
share (`jax.shard_map`). Inside `over(axis)` every sum here goes over all of them; outside, over this device alone.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, Num

_axis: contextvars.ContextVar[str | None] = contextvars.ContextVar("axis", default=None)


@contextlib.contextmanager
def over(axis: str | None) -> Iterator[None]:
    """While a program is traced in here, sums go over mesh axis `axis`; None: over this device alone."""
    token = _axis.set(axis)
    try:
        yield
    finally:
        _axis.reset(token)


def device() -> Int[Array, ""] | int:
    """This device's place along the axis, int32 []; 0 where there is none."""
    axis = _axis.get()
    return lax.axis_index(axis) if axis else 0


def devices() -> int:
    """How many devices share the environments."""
    axis = _axis.get()
    return lax.axis_size(axis) if axis else 1


def across_devices(value: Num[Array, "..."]) -> Num[Array, "..."]:
    """Sums a per-device partial result, any shape [...], over the devices that share the environments."""
    axis = _axis.get()
    return lax.psum(value, axis) if axis else value


def total(x: Num[Array, "..."]) -> Num[Array, ""]:
    """Sum of all elements of `x` [...] over all devices; a scalar []."""
    return across_devices(jnp.sum(x))


def count(mask: Bool[Array, "..."]) -> Float[Array, ""]:
    """Number of true elements of `mask` [...], at least 1 so that it can divide; float32 []."""
    return jnp.maximum(total(mask.astype(jnp.float32)), 1.0)


def mean(x: Float[Array, "*shape"], mask: Bool[Array, "*shape"]) -> Float[Array, ""]:
    """Mean [] of `x` [...] where `mask` [...] is true; 0 if it is nowhere true. Masked-out numbers cannot leak in."""
    return total(jnp.where(mask, x, 0.0)) / count(mask)


def mean_and_std(x: Float[Array, "*shape"], mask: Bool[Array, "*shape"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean [] and population standard deviation [] of `x` [...] where `mask` [...] is true."""
    centre = mean(x, mask)
    return centre, jnp.sqrt(mean(jnp.square(x - centre), mask))


def maximum(x: Float[Array, "*shape"], mask: Bool[Array, "*shape"]) -> Float[Array, ""]:
    """Largest element [] of `x` [...] where `mask` [...] is true; -inf if it is nowhere true."""
    largest = jnp.max(jnp.where(mask, x, -jnp.inf))
    axis = _axis.get()
    return lax.pmax(largest, axis) if axis else largest


def weighted_mean(tree: Any, weight: Float[Array, ""]) -> Any:
    """Mean over the devices of a pytree of arrays, any shapes [...], a device counting by its `weight` [], at least 0.

    What each device found alone, such as the gradient of a mean over its own rows, becomes that of all rows. The
    devices exchange one array: on CPUs it is the number of exchanges that costs, not their size.
    """
    if not _axis.get():
        return tree
    flat, unravel = ravel_pytree(tree)
    sums = across_devices(jnp.append(flat * weight, weight))
    return unravel(sums[:-1] / jnp.maximum(sums[-1], 1.0))

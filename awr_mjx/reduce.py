"""The one place where numbers are added up over environments or ring rows.

Today every environment lives on one device, and `across_devices` is the identity. When the environment axis is sharded
over a mesh, a `psum` here is all that the algorithm needs to know of it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num


def across_devices(value: Num[Array, "..."]) -> Num[Array, "..."]:
    """Sums a per-device partial result, any shape [...], over the devices that share the environments."""
    return value


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
    return jnp.max(jnp.where(mask, x, -jnp.inf))


def mean_gradient(gradient: object) -> object:
    """Adds up the devices' shares of a gradient (a pytree of arrays, any shapes [...])."""
    return jax.tree.map(across_devices, gradient)

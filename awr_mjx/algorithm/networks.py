"""The two networks of AWR: separate multilayer perceptrons for policy and value (paper, section 5.1)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": nn.relu, "silu": nn.silu, "tanh": nn.tanh}


def small_uniform(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Initial output kernel [I, A], U(-0.01, 0.01): the first policy's mean is near 0 (authors' code)."""
    return jax.random.uniform(key, shape, dtype, -0.01, 0.01)


class Mlp(nn.Module):
    """Hidden layers of the given widths, then a linear output layer.

    Attributes:
      widths: widths of the hidden layers.
      outputs: width of the output layer.
      activation: name in `ACTIVATIONS`.
      small_output: initialise the output kernel near zero.
      layer_norm: normalise each hidden layer before its activation (Ba, Kiros, Hinton 2016, arXiv 1607.06450).
    """

    widths: tuple[int, ...]
    outputs: int
    activation: str
    small_output: bool = False
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*batch I"]) -> Float[Array, "*batch K"]:
        """Maps inputs [..., I] to outputs [..., K]."""
        for i, width in enumerate(self.widths):
            x = nn.Dense(width, name=f"hidden_{i}")(x)
            if self.layer_norm:
                x = nn.LayerNorm(name=f"norm_{i}")(x)
            x = ACTIVATIONS[self.activation](x)
        kernel_init = small_uniform if self.small_output else nn.initializers.lecun_normal()
        return nn.Dense(self.outputs, kernel_init=kernel_init, name="out")(x)

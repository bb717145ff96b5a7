"""64-bit counters for programs that run in 32 bits: two uint32 words, exact past 4 thousand million env steps."""

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class Counter:
    """A number below 2**64: `high` and `low`, both uint32 []."""

    high: jax.Array
    low: jax.Array

    def add(self, amount: jax.Array) -> "Counter":
        """The counter plus `amount`, an integer [] from 0 to 2**31 - 1."""
        low = self.low + amount.astype(jnp.uint32)
        return Counter(self.high + (low < self.low).astype(jnp.uint32), low)

    def __int__(self) -> int:
        """The value on the host."""
        return (int(self.high) << 32) | int(self.low)


def zero() -> Counter:
    """A counter at 0."""
    return Counter(jnp.zeros((), jnp.uint32), jnp.zeros((), jnp.uint32))

"""What a policy says about the next action: a diagonal Gaussian or a categorical distribution.

Actions of the Gaussian live in units of [-1, 1] but are neither squashed nor clipped here: log-probabilities are of the
sample itself, and the environment clips. (Squashing with tanh makes log-probabilities of boundary actions blow up,
which ruins regression losses.)
"""

import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key, Shaped


@runtime_checkable
class Distribution(Protocol):
    """What the algorithm asks of a policy's output; both classes below have it."""

    def sample(self, key: Key[Array, ""]) -> Shaped[Array, "..."]:
        """A random action [..., A] or [...]."""
        ...

    def mode(self) -> Shaped[Array, "..."]:
        """The most probable action [..., A] or [...]."""
        ...

    def log_prob(self, action: Shaped[Array, "..."]) -> Float[Array, "*batch"]:
        """Log probability (density) [...] of an action."""
        ...

    def entropy(self) -> Float[Array, "*batch"]:
        """Entropy in nats [...]."""
        ...

    def kl(self, other: Any) -> Float[Array, "*batch"]:
        """KL(self || other) in nats [...]."""
        ...


@struct.dataclass
class Gaussian:
    """Independent normal action dimensions: `mean` [..., A] and `std` [A], in units of [-1, 1]."""

    mean: Float[Array, "*batch A"]
    std: Float[Array, " A"]

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*batch A"]:
        """A random action [..., A]."""
        return self.mean + self.std * jax.random.normal(key, self.mean.shape)

    def mode(self) -> Float[Array, "*batch A"]:
        """The most probable action [..., A]: the mean."""
        return self.mean

    def log_prob(self, action: Float[Array, "*batch A"]) -> Float[Array, "*batch"]:
        """Log density [...] of `action` [..., A]."""
        z = (action - self.mean) / self.std
        return jnp.sum(-0.5 * jnp.square(z) - jnp.log(self.std) - 0.5 * math.log(2 * math.pi), axis=-1)

    def entropy(self) -> Float[Array, "*batch"]:
        """Differential entropy in nats [...]."""
        entropy = jnp.sum(jnp.log(self.std) + 0.5 * math.log(2 * math.pi * math.e))
        return jnp.broadcast_to(entropy, self.mean.shape[:-1])

    def kl(self, other: "Gaussian") -> Float[Array, "*batch"]:
        """KL(self || other) in nats [...]."""
        ratio, shift = self.std / other.std, (self.mean - other.mean) / other.std
        return jnp.sum(0.5 * (jnp.square(ratio) + jnp.square(shift) - 1.0) - jnp.log(ratio), axis=-1)


@struct.dataclass
class Categorical:
    """One of A actions: unnormalised log-probabilities `logits` [..., A]."""

    logits: Float[Array, "*batch A"]

    def sample(self, key: Key[Array, ""]) -> Int[Array, "*batch"]:
        """A random action [...], int32 in 0..A-1."""
        return jax.random.categorical(key, self.logits).astype(jnp.int32)

    def mode(self) -> Int[Array, "*batch"]:
        """The most probable action [...], int32 in 0..A-1."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

    def log_prob(self, action: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Log probability [...] of `action` [...]."""
        log_p = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(log_p, action[..., None], axis=-1)[..., 0]

    def entropy(self) -> Float[Array, "*batch"]:
        """Entropy in nats [...]."""
        log_p = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)

    def kl(self, other: "Categorical") -> Float[Array, "*batch"]:
        """KL(self || other) in nats [...]."""
        log_p, log_q = jax.nn.log_softmax(self.logits), jax.nn.log_softmax(other.logits)
        return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)

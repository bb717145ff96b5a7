"""Every hyper-parameter of Advantage-Weighted Regression, with unit, range and source.

"paper" is Peng, Kumar, Zhang, Levine 2019, arXiv 1910.00177; "authors' code" is the implementation they published.
"""

import dataclasses
import math
from typing import Literal

STEPS_LAST = 2**30  # a schedule ends at this env step at the latest: no more are counted, so no counter overflows


@dataclasses.dataclass(frozen=True)
class AwrConfig:
    """Settings of the algorithm. All of its variants (RWR, on-policy, BC, ...) are values of these fields."""

    rollout_steps: int = 8
    """Control steps T that every environment takes per iteration. Paper: about 2000 samples from one environment."""
    buffer_blocks: int = 3
    """The replay ring holds this many iterations' rows; 1 is on-policy. Paper: the newest 50,000 samples, about 25."""
    returns: Literal["td_lambda", "monte_carlo"] = "td_lambda"
    """TD(lambda) returns, or plain sums of rewards to the end of the episode, of rows whose episode is over alone."""
    episodes: Literal["all", "newest"] = "all"
    """With returns monte_carlo, learn from all ended episodes in the ring, or from those just ended (on-policy)."""
    gamma: float = 0.99
    """Discount per control step, in [0, 1). Paper: 0.99."""
    gamma_end: float = 0.0
    """If > 0, the discount from `gamma_steps` on: learn fast with a short horizon, then do what a long one asks for."""
    gamma_steps: int = 10_000_000
    """Env steps with gamma before gamma_end, from 1 to 2^30."""
    lam: float = 0.95
    """Lambda of TD(lambda), in [0, 1]; 1 sums rewards to a time limit or the newest row and adds V. Paper: 0.95."""
    baseline: bool = True
    """Subtract V(s) from the return. Without it TD(lambda) returns still bootstrap with V; RWR's are monte_carlo."""
    advantage: Literal["standardized", "raw"] = "standardized"
    """Advantages in units of their std over the ring (authors' code, beta 1) or as they are (paper, beta 0.05)."""
    weighting: Literal["exponential", "uniform"] = "exponential"
    """Weights min(exp(A / beta), weight_max), or 1 for every action (behaviour cloning)."""
    beta: float = 1.0
    """Temperature of the weights, > 0, in units of the advantage. Authors' code: 1.0."""
    target_ess: float = 0.0
    """If > 0, beta is found each iteration so that unclipped weights have this effective sample share, in (0, 1)."""
    weight_max: float = 20.0
    """Weights are clipped here, > 0. Paper: 20."""
    relabel: Literal["twice", "once"] = "twice"
    """Recompute values and returns after the value regression (authors' code), or use those from before it."""
    value_units: Literal["horizon", "returns"] = "horizon"
    """Values in units of 1 / (1 - gamma), for rewards of about 1 (paper), or of the returns' own mean and std."""
    value_bins: int = 0
    """If > 0, a critic that says how likely each of so many ranges of values is (HL-Gauss), in units of the returns."""
    expectile: float = 0.5
    """The value regression's expectile, in (0, 1): 0.5 is the mean (paper); more looks at the better returns (IQL)."""

    policy_hidden: tuple[int, ...] = (128, 64)
    """Widths of the policy network's hidden layers. Paper: 128 64."""
    value_hidden: tuple[int, ...] = (128, 64)
    """Widths of the value network's hidden layers. Paper: 128 64."""
    value_layer_norm: bool = False
    """Normalise each hidden layer of the value network (LayerNorm) before its activation."""
    activation: Literal["relu", "silu", "tanh"] = "relu"
    """Activation of the hidden layers. Paper: relu."""
    std: float = 0.4
    """Action std of the Gaussian policy in units of [-1, 1], > 0 (initial, if learned). Authors' code: 0.4, Ant 0.2."""
    std_end: float = 0.0
    """If > 0, a fixed std goes from `std` to this in a straight line over the first `std_steps` env steps."""
    std_steps: int = 10_000_000
    """Env steps over which std becomes std_end, from 1 to 2^30."""
    learn_std: bool = False
    """Learn one std per action dimension (the paper's is fixed)."""
    std_min: float = 0.1
    """A learned std cannot fall below this floor, >= 0; without one it collapses."""

    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam, or SGD with momentum (paper)."""
    momentum: float = 0.9
    """Momentum of SGD, in [0, 1). Paper: 0.9."""
    policy_lr: float = 3e-4
    """Step size of the policy, > 0. Paper: 5e-5 with SGD."""
    policy_lr_steps: int = 0
    """If > 0, policy_lr falls to 0 over this many gradient steps on the policy, as half a cosine."""
    target_kl: float = 0.0
    """If > 0, the policy takes less than policy_lr where an iteration would move it by more than this KL (nats)."""
    value_lr: float = 1e-3
    """Step size of the value network, > 0, on values in units of 1 / (1 - gamma). Authors' code: 1e-2 with SGD."""
    batch_size: int = 4096
    """Rows in a minibatch, drawn with replacement from the ring. Paper: 256."""
    policy_updates: int = 20
    """Gradient steps on the policy per iteration. Paper: 1000."""
    value_updates: int = 20
    """Gradient steps on the value network per iteration. Paper: 200."""
    bound_coef: float = 10.0
    """Weight of the penalty on Gaussian means outside [-1, 1]. Authors' code: 10."""
    logit_coef: float = 0.0
    """Weight of the L2 penalty on the logits of a categorical policy. Authors' code: 0.001 for LunarLander."""

    obs_clip: float = 10.0
    """Normalised observations are clipped to +- this, > 0."""
    data_share: float = 0.5
    """Share of every minibatch that is of the logged data that a run began with (`--from`), from 0 to 1."""
    data_share_steps: int = 0
    """If > 0, that share falls to 0 in a straight line over this many env steps, at most 2^30."""

    normalizer_steps: int = 0
    """Freeze the observation normaliser after this many observations; 0: never. Authors' code: 300,000."""

    @property
    def clones(self) -> bool:
        """Whether every action counts the same and nobody learns values: there is nothing to relabel."""
        return self.weighting == "uniform" and not self.value_updates

    @property
    def capacity(self) -> int:
        """Rows C of the replay ring."""
        return self.rollout_steps * self.buffer_blocks

    @property
    def uses_values(self) -> bool:
        """Whether a weight depends on the value network: all do but those of whole episodes without a baseline."""
        return self.returns == "td_lambda" or self.baseline

    def problems(self, episode_length: int = 0) -> list[str]:
        """One line for every setting that makes no sense, saying what to write instead; empty if all is well.

        With `episode_length`, the task's time limit in control steps, also that of a ring too small for whole episodes.
        """
        found = []

        def require(holds: bool, name: str, rule: str) -> None:
            if not holds:
                found.append(f"{name} must be {rule}, not {getattr(self, name)}")

        require(0 <= self.gamma < 1, "gamma", "at least 0 and below 1")
        require(0 <= self.gamma_end < 1, "gamma_end", "at least 0 (off) and below 1")
        require(0 <= self.lam <= 1, "lam", "from 0 to 1")
        require(0 <= self.data_share <= 1, "data_share", "from 0 to 1")
        require(0 <= self.data_share_steps <= STEPS_LAST, "data_share_steps", "from 0 (off) to 2^30")
        require(0 <= self.target_ess < 1, "target_ess", "at least 0 (off) and below 1")
        require(0 <= self.momentum < 1, "momentum", "at least 0 and below 1")
        require(0 < self.expectile < 1, "expectile", "above 0 and below 1")
        for name in ("beta", "weight_max", "std", "policy_lr", "value_lr", "obs_clip"):
            require(0 < getattr(self, name) < math.inf, name, "a positive number")
        for name in ("bound_coef", "logit_coef", "std_end", "std_min", "target_kl"):
            require(0 <= getattr(self, name) < math.inf, name, "zero or a positive number")
        require(not self.learn_std or self.std > self.std_min, "std", f"above std_min ({self.std_min}) to be learned")
        for name in ("rollout_steps", "buffer_blocks", "batch_size"):
            require(getattr(self, name) > 0, name, "a positive number")
        require(not (self.learn_std and self.std_end), "std_end", "0 (off) where learn_std is on")
        for name in ("gamma_steps", "std_steps"):
            require(0 < getattr(self, name) <= STEPS_LAST, name, "from 1 to 2^30")
        require(not self.value_bins or self.value_bins >= 32, "value_bins", "0 (off), or at least 32")
        require(not self.value_bins or self.value_units == "returns", "value_units", "returns with value_bins")
        require(not self.value_bins or self.expectile == 0.5, "expectile", "0.5 with value_bins")
        for name in ("policy_updates", "value_updates", "normalizer_steps", "policy_lr_steps"):
            require(getattr(self, name) >= 0, name, "zero or a positive number")
        on_policy = "all with TD(lambda) returns, where buffer_blocks 1 is on-policy"
        require(self.episodes == "all" or self.returns == "monte_carlo", "episodes", on_policy)
        unused = "0 with returns monte_carlo and without baseline, where no weight depends on a value"
        require(self.value_updates <= 0 or self.uses_values, "value_updates", unused)
        if self.returns == "monte_carlo" and self.rollout_steps > 0:
            blocks = 1 + math.ceil(episode_length / self.rollout_steps)
            rows = f"{blocks} or more, to hold an episode of {episode_length} steps and {self.rollout_steps} new rows"
            require(self.buffer_blocks >= blocks, "buffer_blocks", rows)
        for name in ("policy_hidden", "value_hidden"):
            require(all(width > 0 for width in getattr(self, name)), name, "positive widths")
        return found

"""Settings per task, each with the reason; any of them can be overridden on the command line."""

from awr_mjx.config import AwrConfig
from train.config import TrainConfig

PRESETS: dict[str, TrainConfig] = {}


def preset(env: str) -> TrainConfig:
    """The settings for task `env`: its own preset, or the general defaults."""
    return PRESETS.get(env, TrainConfig(env=env))


def _add(config: TrainConfig) -> None:
    PRESETS[config.env] = config


_add(
    TrainConfig(
        env="ant",
        awr=AwrConfig(activation="silu", beta=0.5, std=0.5, learn_std=True, std_min=0.15),
    )
)

_add(
    TrainConfig(
        env="cartpole",
        num_envs=64,
        num_steps=200_000,
        epoch_iterations=5,  # an iteration takes milliseconds, so the host looks up less often
        awr=AwrConfig(rollout_steps=32, buffer_blocks=4, batch_size=512, policy_lr=1e-3),
    )
)
_add(
    TrainConfig(
        env="inverted_pendulum",
        num_envs=64,
        num_steps=200_000,
        epoch_iterations=5,
        awr=AwrConfig(rollout_steps=32, buffer_blocks=4, batch_size=512, policy_lr=1e-3),
    )
)

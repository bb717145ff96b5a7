"""Settings per task, each with the reason; any of them can be overridden on the command line."""

from awr_mjx.config import AwrConfig
from train.config import TrainConfig

# What the authors' code does on the MuJoCo tasks, with 32 control steps of 64 environments in place of one's episodes.
PAPER = AwrConfig(
    rollout_steps=32,
    buffer_blocks=24,
    optimizer="sgd",
    policy_lr=1e-4,
    value_lr=1e-2,
    batch_size=256,
    policy_updates=1000,
    value_updates=200,
    normalizer_steps=300_000,
)

PRESETS: dict[str, TrainConfig] = {}


def preset(env: str) -> TrainConfig:
    """The settings for task `env`: its own preset, or the general defaults."""
    return PRESETS.get(env, TrainConfig(env=env))


def _add(config: TrainConfig) -> None:
    PRESETS[config.env] = config


_add(
    TrainConfig(
        env="ant",
        # 8,192 samples per iteration: what counts at a given number of env steps is the number of improvement steps.
        num_envs=2048,
        awr=AwrConfig(
            rollout_steps=4,
            buffer_blocks=6,  # 24 rows: traces of TD(0.95) fit, and the oldest policy is six iterations old
            activation="silu",
            beta=0.4,  # a third of the samples carries the weight
            # Noise costs torque, so it should fall while the ant learns to run; the floor keeps it from collapsing.
            std=0.3,
            learn_std=True,
            std_min=0.12,
            policy_lr=5e-4,
            value_lr=1e-3,
            policy_updates=30,
            value_updates=16,
        ),
    )
)
_add(
    TrainConfig(
        env="halfcheetah",
        num_envs=1024,
        num_steps=4_000_000,
        awr=PRESETS["ant"].awr,  # as it is
    )
)
_add(
    TrainConfig(
        env="hopper",
        # The authors' settings: 2,048 samples per iteration, the newest 49,152, and many small steps on each batch. Few
        # large steps of Adam learn to stand still here (1,020 after 2.4 million env steps).
        num_envs=64,
        num_steps=1_000_000,
        awr=PAPER,
    )
)
_add(
    TrainConfig(
        env="walker2d",
        num_envs=1024,
        num_steps=4_000_000,
        awr=PRESETS["ant"].awr,  # twice as fast as the authors' settings, per env step too
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

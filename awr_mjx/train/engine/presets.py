"""Settings per task, each with the reason; any of them can be overridden on the command line."""

import dataclasses
import math

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.train.engine.config import TrainConfig

# For robots: thousands of environments, few and large minibatches.
ROBOT = AwrConfig(
    rollout_steps=4,  # what counts at a given number of env steps is the number of improvement steps
    buffer_blocks=6,  # 24 rows: traces of TD(0.95) fit, and the oldest policy is six iterations old
    activation="silu",
    beta=0.4,  # a third of the samples carries the weight
    # Noise costs torque, so it should fall while the robot learns to run; the floor keeps it from collapsing.
    std=0.3,
    learn_std=True,
    std_min=0.12,
    policy_lr=5e-4,
    value_lr=1e-3,
    policy_updates=30,
    value_updates=16,
)

# The authors' code on the MuJoCo tasks, with 32 control steps of 64 environments in place of one's episodes: 2,048
# samples per iteration, the newest 49,152 in the ring, and many small steps on each batch.
AUTHORS = AwrConfig(
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

# The same regressions in a quarter as many steps, each four times as large on four times the rows, and the same samples
# per iteration from four times the environments: 1.4 times as fast, but hopper learns less with it.
WIDE = dataclasses.replace(
    AUTHORS, rollout_steps=8, batch_size=1024, value_lr=4e-2, policy_updates=250, value_updates=50
)

# Learning from logged data, whatever they are: nothing about the scale of rewards is assumed, and the policy's step
# falls to nothing, for otherwise the last of many policies that are as good by the loss is taken by chance. Minibatches
# of 256 take half the time, and from a million steps of walker2d's medium policy learn 14 % less (five seeds). Noise is
# that of the data: a std of 0.4, of an ant that was recorded with 0.2, takes five sixths of what its policy returns.
STATIC = AwrConfig(
    learn_std=True,
    policy_lr=1e-3,
    policy_lr_steps=1,  # as long as the run, unless it is given
    value_lr=1e-3,
    beta=0.3,
    value_units="returns",
    batch_size=1024,
    policy_updates=1000,
    value_updates=500,
)

# For imitation: thousands of samples from a few hundred robots, and few large minibatches. A horizon of 20 control
# steps, 0.7 s, as in the authors' own runs; noise of 0.1 rad a joint, which the servos follow.
IMITATION = AwrConfig(
    rollout_steps=16,
    buffer_blocks=4,
    gamma=0.95,
    beta=0.5,
    weight_max=10.0,
    policy_hidden=(256, 128),
    value_hidden=(256, 128),
    activation="silu",
    std=0.2,
    policy_lr=5e-4,
    value_lr=1e-3,
    policy_updates=16,
    value_updates=16,
)

# The authors' settings for imitation, as they gave them for the humanoid (xbpeng/awr, issue 2): 4,096 samples per
# iteration, here of 64 environments in place of one's episodes.
AUTHORS_IMITATION = dataclasses.replace(
    AUTHORS,
    rollout_steps=64,
    buffer_blocks=12,
    gamma=0.95,
    weight_max=50.0,
    policy_hidden=(1024, 512),
    value_hidden=(1024, 512),
    std=0.05,
    policy_lr=1.5e-6,
    policy_updates=200,
    value_updates=100,
    normalizer_steps=1_000_000,
)

PRESETS: dict[str, TrainConfig] = {}
LEAST_ROWS = 24  # of a ring that has its samples from more environments than a preset's: traces of TD(0.95) fit


def preset(env: str, num_envs: int = 0) -> TrainConfig:
    """The settings for task `env`: its own preset, or those for robots with values in units of the returns.

    Rewards of a task that nobody has tuned for may be of any size (docs/decisions.md). With `num_envs`, they are as
    `for_envs` has them.
    """
    robots = TrainConfig(env=env, num_envs=1024, awr=dataclasses.replace(ROBOT, value_units="returns"))
    found = PRESETS.get(env, robots)
    return for_envs(found, num_envs) if num_envs > 0 else found


def for_envs(config: TrainConfig, num_envs: int) -> TrainConfig:
    """`config` for `num_envs` environments.

    An iteration has as many samples as before, and so has the ring, but at least `LEAST_ROWS` rows. Where one control
    step of all environments is more than an iteration's samples, minibatches are larger in proportion.
    """
    awr, samples = config.awr, config.num_envs * config.awr.rollout_steps
    steps = max(1, round(samples / num_envs))
    rows = max(min(LEAST_ROWS, awr.capacity), samples * awr.buffer_blocks / num_envs)
    awr = dataclasses.replace(
        awr,
        rollout_steps=steps,
        buffer_blocks=math.ceil(rows / steps),
        batch_size=awr.batch_size * max(1, num_envs * steps // samples),
    )
    return dataclasses.replace(config, num_envs=num_envs, awr=awr)


def followed(config: TrainConfig) -> str:
    """A line on how settings follow another number of environments than the preset's; empty where there is no need."""
    own, awr = preset(config.env), config.awr
    if config.logged or config.num_envs == own.num_envs:
        return ""
    whose = "the preset's" if config.env in PRESETS else "otherwise"
    theirs = f"{whose} {own.num_envs} have {own.awr.rollout_steps} and {own.awr.capacity}"
    return f"an iteration: {awr.rollout_steps} steps of each; ring: {awr.capacity} rows ({theirs})"


def static_preset(env: str) -> TrainConfig:
    """The settings for learning from logged data of task `env`."""
    awr = dataclasses.replace(STATIC, batch_size=256) if env == "cartpole" else STATIC  # which is no harder for it
    return TrainConfig(env=env, num_steps=30_000, num_evals=5, awr=awr)


def _add(config: TrainConfig) -> None:
    PRESETS[config.env] = config


# Its jumps end most episodes that end early. target_kl keeps the policy near what it has been seen to survive, and a
# std that does not follow the policy leaves all of that to its mean. Weights that grow fast and are cut early learn
# faster (1,024 environments, mean of four seeds after 5M: 3,917 against 3,042). A horizon of 100 control steps bears a
# jump too high every 400 for a fifth more speed, and so it is 333 once the ant runs: that long from the start, it
# learns to run more slowly. Noise costs torque and throws it too high in the end, so the std falls; from 0.3 and not
# from 0.2, with which a slow seed was slower in Gymnasium (4,562 after 22M against 4,763; a fast one 6,242 and 6,090).
_add(
    TrainConfig(
        env="ant",
        num_envs=2048,
        num_steps=28_000_000,
        awr=dataclasses.replace(
            ROBOT,
            beta=0.2,
            weight_max=5.0,
            std=0.3,
            std_end=0.1,
            std_steps=10_000_000,
            learn_std=False,
            policy_lr=1e-3,
            target_kl=0.01,
            value_updates=32,
            gamma_end=0.997,
            gamma_steps=3_000_000,
        ),
    )
)
# It cannot fall: the large steps of the settings for robots learn faster than WIDE (7,809 against 4,916 after 3M).
_add(TrainConfig(env="halfcheetah", num_envs=1024, awr=ROBOT))
# The authors' settings with twice the critic's step: with it four of four seeds hop at 1.5M env steps, without it two.
# With the settings for robots, or a quarter of the policy's step, it learns to stand still (about 1,020).
_add(
    TrainConfig(
        env="hopper",
        num_envs=64,
        num_steps=6_000_000,
        awr=dataclasses.replace(AUTHORS, value_lr=2e-2),
    )
)
_add(TrainConfig(env="walker2d", num_envs=256, num_steps=6_000_000, awr=dataclasses.replace(WIDE, policy_lr=1e-4)))
# The authors' settings and step; with the settings for robots it falls (1,115 after 6M env steps).
_add(TrainConfig(env="humanoid", num_envs=64, num_steps=6_000_000, awr=dataclasses.replace(AUTHORS, policy_lr=1e-5)))
for _name, _policy_lr, _std in (
    ("ant", 5e-5, 0.2),
    ("halfcheetah", 5e-5, 0.4),
    ("hopper", 1e-4, 0.4),
    ("walker2d", 2.5e-5, 0.4),
    ("humanoid", 1e-5, 0.4),
):
    _awr = dataclasses.replace(AUTHORS, policy_lr=_policy_lr, std=_std)
    _add(TrainConfig(env=f"paper/{_name}", num_envs=64, awr=_awr))
# The authors' settings for LunarLander: ten times the step of the robots, logits that pay for their size.
_add(
    TrainConfig(
        env="lunar_lander",
        num_envs=64,
        num_steps=5_000_000,
        awr=dataclasses.replace(AUTHORS, policy_lr=5e-4, logit_coef=1e-3, normalizer_steps=100_000),
    )
)
# The canter finds its pace with noise of 0.1 rad and keeps it with half of that: 0.77 of the return by 1.7M env steps,
# in place of 2.8M. A spinkick is no better for it (docs/decisions.md).
IMITATION_DOG = dataclasses.replace(IMITATION, std_end=0.1, std_steps=2_000_000)
for _name, _awr in {"march": IMITATION, "humanoid": IMITATION, "dog": IMITATION_DOG, "robot": IMITATION}.items():
    _add(TrainConfig(env=f"imitate/{_name}", num_envs=512, num_steps=20_000_000, awr=_awr))
for _name in ("humanoid", "dog", "robot"):
    _add(TrainConfig(env=f"paper/imitate/{_name}", num_envs=64, num_steps=60_000_000, awr=AUTHORS_IMITATION))
_add(
    TrainConfig(
        env="cartpole",
        num_envs=64,
        num_steps=200_000,
        epoch_iterations=5,  # an iteration takes milliseconds, so the host looks up less often
        awr=AwrConfig(rollout_steps=32, buffer_blocks=4, batch_size=512, policy_lr=1e-3, value_units="returns"),
    )
)
_add(
    TrainConfig(
        env="inverted_pendulum",
        num_envs=64,
        num_steps=200_000,
        epoch_iterations=5,
        # At 1e-3 the policy falls now and then after it has solved the task (1 of 80 evaluations, 8 seeds; here none).
        awr=AwrConfig(rollout_steps=32, buffer_blocks=4, batch_size=512, policy_lr=5e-4),
    )
)

"""A task's tables reach its programs as an argument."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner
from awr_mjx.envs import registry, tables
from awr_mjx.envs.base import State
from awr_mjx.envs.imitation import march
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.imitation.task import Imitation
from awr_mjx.train.engine.evaluation import Evaluator
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.engine.recording import Recorder
from tests.tasks import Walk

CONFIG = AwrConfig(
    rollout_steps=4,
    buffer_blocks=4,
    batch_size=8,
    policy_updates=1,
    value_updates=1,
    policy_hidden=(8,),
    value_hidden=(8,),
)


class Paid(Walk):
    """A walk whose every step pays what its table says."""

    def __init__(self, pay: float) -> None:
        super().__init__(bound=1e6)
        self.tables = {"pay": jnp.full(3, pay)}

    def step(self, state: State, action: jax.Array) -> State:
        return super().step(state, action).replace(reward=self.tables["pay"].mean())  # type: ignore[attr-defined]


def programs(env: Any) -> dict[str, tuple[tables.Program, tuple[Any, ...]]]:
    """Those that step or reset a task, and what they take."""
    loop, learner = Loop(env, CONFIG, 8), Learner(CONFIG, env.observation_size, env.action_size, env.discrete)
    state, key = loop.init(0), jax.random.key(0)
    evaluator, recorder = Evaluator(env, learner, 2, loop.mesh), Recorder(env, learner, 2, mode=True)
    alone = Evaluator(env, learner, 2)
    policy, keys = (state.learner.policy, state.learner.normalizer), jax.random.split(key, 2)
    return {
        "epoch": (loop.epoch, (state,)),
        "init": (loop._init_program, (key,)),
        "start": (evaluator._start, (*policy, keys)),
        "play": (evaluator._go_on, (*policy, evaluator._start(*policy, keys), np.int32(3))),
        "start alone": (alone._start, (*policy, keys)),
        "play alone": (alone._go_on, (*policy, alone._start(*policy, keys), np.int32(3))),
        "record": (recorder._run, (state.learner, recorder._init(key), key)),
    }


def test_every_program_is_the_same_for_other_tables_of_the_same_shapes() -> None:
    one, other = programs(Paid(1.0)), programs(Paid(3.0))
    for name, (program, args) in one.items():
        assert program.lower(*args).as_text() == other[name][0].lower(*args).as_text(), name


def test_a_program_has_its_own_tasks_tables() -> None:
    for pay in (1.0, 3.0):
        env = Paid(pay)
        loop = Loop(env, CONFIG, 8)
        state, metrics = loop.epoch(loop.init(0))
        assert metrics["reward_per_step"].tolist() == [pay]
        compiled, _ = loop.compile()
        assert compiled(state)[1]["reward_per_step"].tolist() == [pay]
        np.testing.assert_array_equal(env.tables["pay"], np.full(3, pay, np.float32))  # and none of a program's


def test_tables_are_the_tasks_own_again_where_a_program_cannot_be_made() -> None:
    env = Paid(1.0)

    def broken() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        tables.jit(broken, env)()
    assert env.tables["pay"].tolist() == [1, 1, 1]


def test_clips_of_one_length_share_programs() -> None:
    robot = march.humanoid()
    motion = march.march(robot)
    turned = Clip(motion.fps, motion.qpos[::-1].copy(), motion.joint_names, motion.loop)
    env: Any = registry.make("imitate/march")
    texts = []
    for one in (env, Imitation(robot, [turned])):
        key = jax.random.key(0)
        step, reset = tables.jit(one.step, one), tables.jit(one.reset, one)
        state = reset(key)
        texts.append((reset.lower(key).as_text(), step.lower(state, jnp.zeros(one.action_size)).as_text()))
    assert texts[0] == texts[1]

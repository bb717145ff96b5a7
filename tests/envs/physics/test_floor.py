"""Our dynamics of robots on a floor against C MuJoCo's: the same accelerations and forces, from the same states."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.gym.locomotion import contact_forces, contact_forces_in_c
from awr_mjx.envs.physics import models, newton
from awr_mjx.envs.physics.floor import FloorDynamics
from awr_mjx.envs.physics.mjx_task import mjx
from awr_mjx.envs.registry import TaskOptions

STATES = 64


@functools.cache
def states(name: str) -> tuple[Any, Any, jax.Array]:
    """A task, and physics states and controls after 20 random steps of 64 environments."""
    env: Any = registry.make(name, TaskOptions(randomize=False))
    step = jax.jit(jax.vmap(env.step))
    state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), STATES))
    for i in range(20):
        state = step(state, jax.random.uniform(jax.random.key(i), (STATES, env.action_size), minval=-1))
    return env, state.data, jax.random.uniform(jax.random.key(99), (STATES, env.action_size), minval=-1)


@pytest.mark.parametrize("name", ["ant", "walker2d"])
def test_the_minimum_is_mujocos(name: str) -> None:
    """Both solvers run to convergence: accelerations and contact forces on bodies. Of an ant, steep shins touch too."""
    env, physics, ctrl = states(name)
    model = models.fast(env.asset, dataclasses.replace(env.fast, iterations=100, ls_iterations=50, contacts=None))
    model.opt.tolerance = 1e-10
    ours, put = FloorDynamics(model), mjx.put_model(model)
    template = mjx.make_data(put)

    def see(p: Any, ctrl: jax.Array) -> tuple[jax.Array, jax.Array]:
        data = template.replace(qpos=p.qpos, qvel=p.qvel, qacc_warmstart=p.qacc_warmstart, ctrl=ctrl)
        data = ours(put, data)
        return data.qacc, contact_forces(put, data)

    got = [np.asarray(x) for x in jax.jit(jax.vmap(see))(physics, ctrl)]
    data, expected, steep = mujoco.MjData(model), [], []
    for i in range(STATES):
        data.qpos[:], data.qvel[:], data.ctrl[:] = physics.qpos[i], physics.qvel[i], ctrl[i]
        data.qacc_warmstart[:] = physics.qacc_warmstart[i]
        mujoco.mj_forward(model, data)
        expected.append((data.qacc.copy(), contact_forces_in_c(model, data).copy()))
        steep += [abs(data.geom(int(g)).xmat[8]) > np.cos(np.pi / 6) for g in data.contact.geom[:, 1]]
    for e, g in zip(zip(*expected, strict=True), got, strict=True):
        np.testing.assert_allclose(g, np.array(e), rtol=2e-4, atol=2e-4 * float(np.abs(e).max()))
    assert len(steep) >= 20
    assert name != "ant" or np.mean(steep) > 0.1


def test_a_control_step_is_cpu_mujocos() -> None:
    """HalfCheetah's fast model, with Euler's method and implicit damping, against `mj_step` with a converged solver."""
    env, physics, ctrl = states("halfcheetah")
    after = jax.jit(jax.vmap(lambda p, c: env.step_physics(p, c)[0]))(physics, ctrl)
    model = env.mj_model.__copy__()
    model.opt.iterations = 50
    data, errors = mujoco.MjData(model), []
    for i in range(STATES):
        data.qpos[:], data.qvel[:], data.ctrl[:] = physics.qpos[i], physics.qvel[i], ctrl[i]
        data.qacc_warmstart[:] = physics.qacc_warmstart[i]
        for _ in range(env.frame_skip):
            mujoco.mj_step(model, data)
        errors.append(np.abs(data.qvel - after.qvel[i]).max())
    assert np.median(errors) < 2e-5
    assert np.max(errors) < 2e-2  # m/s and rad/s, where three iterations are not enough


def test_few_iterations_end_near_the_minimum() -> None:
    """Ant's three iterations leave at most a tenth of the states more than 5 % from the accelerations of a hundred."""
    env, physics, ctrl = states("ant")
    results = []
    for iterations in (100, env.mj_model.opt.iterations):
        model = env.mj_model.__copy__()
        model.opt.iterations = iterations
        dynamics = FloorDynamics(model)

        def accelerate(p: Any, c: jax.Array, dynamics: FloorDynamics = dynamics) -> jax.Array:
            data = env._template.replace(qpos=p.qpos, qvel=p.qvel, qacc_warmstart=p.qacc_warmstart, ctrl=c)
            return dynamics(env._model, data).qacc

        results.append(np.asarray(jax.jit(jax.vmap(accelerate))(physics, ctrl)))
    error = np.abs(results[0] - results[1]).max(axis=1) / np.abs(results[0]).max(axis=1)
    assert (error > 0.05).mean() <= 0.1


def parabola(slope: float, curvature: float, length: jax.Array) -> tuple[jax.Array, Any]:
    return slope + length * curvature, curvature


def test_the_line_search_finds_the_least_cost() -> None:
    """On random pieces, its length costs no more than any of a fine grid's."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        weight, excess, moved = rng.uniform(0, 10, 24), rng.normal(size=24), rng.normal(size=24)
        slope, curvature = -rng.uniform(1, 20), rng.uniform(0.5, 5)
        pushing = np.sum(weight * moved * np.minimum(excess, 0))
        slope -= abs(pushing)  # a direction of descent
        found = float(
            newton.line_search(
                functools.partial(parabola, slope, curvature),
                jnp.asarray(weight),
                jnp.asarray(excess),
                jnp.asarray(moved),
                4,
            )
        )

        def cost(
            length: np.ndarray,
            w: np.ndarray = weight,
            e: np.ndarray = excess,
            m: np.ndarray = moved,
            s: Any = slope,
            c: Any = curvature,
        ) -> np.ndarray:
            there = np.minimum(e + np.multiply.outer(length, m), 0)
            return s * length + c * length**2 / 2 + 0.5 * np.sum(w * there**2, -1)

        grid = cost(np.linspace(0, 60, 60001))
        assert cost(np.array(found)) <= grid.min() + 2e-3 * (grid[0] - grid.min())


def test_a_model_with_other_constraints_is_refused() -> None:
    """Hinges with friction loss, and bodies that touch each other, are not what this module can do."""
    model = models.exact("ant.xml")
    with pytest.raises(NotImplementedError, match="moving bodies"):
        FloorDynamics(mujoco.MjModel.from_xml_string(TWO_BALLS))
    model.dof_frictionloss[7] = 0.1
    with pytest.raises(NotImplementedError, match="friction loss"):
        FloorDynamics(model)


TWO_BALLS = """
<mujoco><worldbody><geom type="plane" size="0 0 1"/>
<body><freejoint/><geom type="sphere" size=".1"/></body>
<body pos="1 0 0"><freejoint/><geom type="sphere" size=".1"/></body>
</worldbody></mujoco>"""

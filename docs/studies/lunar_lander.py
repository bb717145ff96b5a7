"""How close `lunar_lander` is to Gymnasium's LunarLander-v3, which is Box2D itself: by the step and by the episode.

    python -m docs.studies.lunar_lander flight --episodes 200
    python -m docs.studies.lunar_lander touch --episodes 200
    python -m docs.studies.lunar_lander episodes --episodes 1000

`flight` and `touch` give both the same actions and the same noise of the engines; `--velocity_iterations` and
`--position_iterations` change ours.
"""

import argparse
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.envs.box2d import lunar_lander as theirs

from awr_mjx.envs.box2d.hinges import HingeState
from awr_mjx.envs.box2d.shapes import Body
from awr_mjx.envs.box2d.world import World, initial, step
from awr_mjx.envs.gym.lunar_lander import LIMITS, POSITION_ITERATIONS, SCALE, VELOCITY_ITERATIONS, LunarLander
from awr_mjx.train.engine.jax_setup import start_jax

HORIZON = 10  # steps after the start of `touch`
BEFORE = 2  # steps before the first touch at which it starts
QUANTILES = (0.5, 0.9, 0.99, 1.0)
Policy = Callable[[Any, Any, Any], int]  # of (their environment, observation, generator)


@dataclasses.dataclass
class Episode:
    """What Gymnasium's lander did; T steps, and T + 1 moments."""

    ground: np.ndarray  # [11], m
    bodies: np.ndarray  # [T + 1, 3, 6], as `Body`
    hinges: np.ndarray  # [T + 1, 2, 4], as `HingeState` without the side
    obs: np.ndarray  # [T + 1, 8]
    actions: np.ndarray  # [T]
    noise: np.ndarray  # [T, 2], m
    rewards: np.ndarray  # [T]

    def touch(self) -> int:
        """The first moment at which a leg touches the ground; T + 1 if none does."""
        touched = np.flatnonzero(self.obs[:, 6:].any(axis=1))
        return int(touched[0]) if touched.size else len(self.obs)


class Recorder:
    """A NumPy generator that remembers the single numbers it gave."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self.given: list[float] = []

    def uniform(self, low: float, high: float, size: Any = None) -> Any:
        """As the generator's."""
        drawn = self.generator.uniform(low, high, size)
        if size is None:
            self.given.append(float(drawn))
        return drawn

    def integers(self, *args: Any) -> Any:
        """As the generator's."""
        return self.generator.integers(*args)


def heuristic(env: Any, obs: Any, _: Any) -> int:
    """Gymnasium's own controller."""
    return int(theirs.heuristic(env, obs))


POLICIES: dict[str, Policy] = {
    "heuristic": heuristic,
    "nothing": lambda env, obs, generator: 0,
    "random": lambda env, obs, generator: int(generator.integers(4)),
}


def moment(env: Any) -> tuple[list[list[float]], list[list[float]]]:
    """Their bodies [3, 6] and hinges' impulses [2, 4]."""
    bodies = []
    for body in (env.lander, *env.legs):
        centre, speed = body.worldCenter, body.linearVelocity
        bodies.append([centre[0], centre[1], body.angle, speed[0], speed[1], body.angularVelocity])
    hinges = []
    for leg in env.legs:
        force = leg.joint.GetReactionForce(theirs.FPS)
        torques = leg.joint.GetReactionTorque(theirs.FPS), leg.joint.GetMotorTorque(theirs.FPS)
        hinges.append([x / theirs.FPS for x in (force[0], force[1], *torques)])
    return bodies, hinges


def record(seed: int, policy: Policy, steps: int) -> Episode:
    """An episode of at most `steps` of Gymnasium's lander."""
    env: Any = gymnasium.make("LunarLander-v3").unwrapped
    obs, _ = env.reset(seed=seed)
    generator, env.np_random = np.random.default_rng(seed), Recorder(env.np_random)
    ground = [p[0][1] for p in env.sky_polys] + [env.sky_polys[-1][1][1]]
    moments, seen, actions, noise, rewards = [moment(env)], [obs], [], [], []
    for _ in range(steps):
        env.np_random.given.clear()
        actions.append(policy(env, obs, generator))
        obs, reward, over, *_ = env.step(actions[-1])
        noise.append([x / SCALE for x in env.np_random.given[:2]])
        moments.append(moment(env))
        seen.append(obs)
        rewards.append(reward)
        if over:
            break
    bodies, hinges = zip(*moments, strict=True)
    return Episode(*map(np.asarray, (ground, bodies, hinges, seen, actions, noise, rewards)))


def world_of(bodies: jax.Array, impulses: jax.Array) -> World:
    """Our world of their bodies [3, 6] and hinges' impulses [2, 4], in flight."""
    hull, *legs = (Body(*body) for body in bodies)
    hinges = []
    for leg, (low, high), (px, py, limit, motor) in zip(legs, LIMITS.values(), impulses, strict=True):
        angle = leg.a - hull.a
        side = jnp.where(angle <= low, -1.0, jnp.where(angle >= high, 1.0, 0.0))
        hinges.append(HingeState(px, py, limit, motor, jnp.where(limit == 0, 0.0, side)))
    return initial((hull, legs[0], legs[1])).replace(hinges=tuple(hinges))  # type: ignore[attr-defined]


def follow(env: LunarLander, episodes: list[Episode], starts: list[int], steps: int) -> np.ndarray:
    """Our observations [E, steps, 8] after their moments `starts` [E], with their actions and noise."""

    def one(ground: Any, bodies: Any, hinges: Any, actions: Any, noise: Any) -> jax.Array:
        def go_on(world: World, inputs: Any) -> tuple[World, jax.Array]:
            action, drawn = inputs
            hull, *legs = world.bodies
            hull = env.fire(hull, action, (drawn[0], drawn[1]))
            world = step(env.scene, ground, world.replace(bodies=(hull, *legs)))  # type: ignore[attr-defined]
            return world, env.observe(world)

        return jax.lax.scan(go_on, world_of(bodies, hinges), (actions, noise))[1]

    chosen = [
        (e.ground, e.bodies[t], e.hinges[t], e.actions[t : t + steps], e.noise[t : t + steps])
        for e, t in zip(episodes, starts, strict=True)
    ]
    arrays = [np.stack(column) for column in zip(*chosen, strict=True)]
    floats = [jnp.asarray(a, jnp.int32 if i == 3 else jnp.float32) for i, a in enumerate(arrays)]
    return np.asarray(jax.jit(jax.vmap(one))(*floats))


def errors(env: LunarLander, episodes: list[Episode], starts: list[int], steps: int) -> np.ndarray:
    """The largest error in an observed position, velocity or angle, [E, steps], units of the observation."""
    ours = follow(env, episodes, starts, steps)
    want = np.stack([e.obs[t + 1 : t + 1 + steps] for e, t in zip(episodes, starts, strict=True)])
    return np.abs(ours - want)[..., :6].max(axis=-1)


def flight(env: LunarLander, count: int) -> None:
    """Prints how far free flights of 50 steps of random actions differ."""
    steps = 50
    found: list[Episode] = []
    seed = 0
    while len(found) < count:
        episode = record(seed, POLICIES["random"], steps)
        seed += 1
        if len(episode.actions) == steps and episode.touch() > steps:
            found.append(episode)
    _table(errors(env, found, [0] * count, steps), (1, 2, 5, 10, 20, 50))


def landings(count: int) -> tuple[list[Episode], list[int]]:
    """Gymnasium's controller, just before it touches down: episodes, and the moments to start from."""
    found: list[Episode] = []
    seed = 0
    while len(found) < count:
        episode = record(seed, heuristic, 1000)
        seed += 1
        if BEFORE <= episode.touch() <= len(episode.actions) - HORIZON:
            found.append(episode)
    return found, [episode.touch() - BEFORE for episode in found]


def touch(env: LunarLander, count: int) -> None:
    """Prints how far 1 to 10 steps around a touch-down differ."""
    episodes, starts = landings(count)
    _table(errors(env, episodes, starts, HORIZON), range(1, HORIZON + 1))
    ours = follow(env, episodes, starts, HORIZON)[..., 6:]
    want = np.stack([e.obs[t + 1 : t + 1 + HORIZON, 6:] for e, t in zip(episodes, starts, strict=True)])
    print(f"legs' contacts: {np.mean(ours == want):.2%} agree")


def _table(found: np.ndarray, horizons: Any) -> None:
    print(f"| steps | {' | '.join('median' if q == 0.5 else 'largest' if q == 1 else f'{q:.0%}' for q in QUANTILES)} |")
    print("|---" * (len(QUANTILES) + 1) + "|")
    for horizon in horizons:
        print(f"| {horizon} | {' | '.join(f'{np.quantile(found[:, horizon - 1], q):.1e}' for q in QUANTILES)} |")


def our_heuristic(obs: jax.Array, _: jax.Array) -> jax.Array:
    """Gymnasium's controller, for observations [8]."""
    target = jnp.clip(0.5 * obs[0] + obs[2], -0.4, 0.4)
    down = (obs[6] > 0) | (obs[7] > 0)
    tilt = jnp.where(down, 0.0, (target - obs[4]) * 0.5 - obs[5])
    hover = jnp.where(down, -obs[3] * 0.5, (0.55 * jnp.abs(obs[0]) - obs[1]) * 0.5 - obs[3] * 0.5)
    side = jnp.where(tilt < -0.05, 3, jnp.where(tilt > 0.05, 1, 0))
    return jnp.where((hover > jnp.abs(tilt)) & (hover > 0.05), 2, side)


OUR_POLICIES = {
    "heuristic": our_heuristic,
    "nothing": lambda obs, key: jnp.int32(0),
    "random": lambda obs, key: jax.random.randint(key, (), 0, 4),
}


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def our_episodes(env: LunarLander, name: str, count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns, lengths and whether they landed, of `count` episodes of ours."""
    policy = OUR_POLICIES[name]

    def go_on(carry: Any, key: jax.Array) -> tuple[Any, None]:
        state, total, length, over = carry
        actions = jax.vmap(policy)(state.obs, jax.random.split(key, count))
        after = jax.vmap(env.step)(state, actions)
        total = total + jnp.where(over, 0.0, after.reward)
        length = length + ~over
        landed = state.metrics["landed"] + jnp.where(over, 0.0, after.metrics["landed"])
        after = after.replace(metrics={"landed": landed})  # type: ignore[attr-defined]
        return (after, total, length, over | (after.done > 0)), None

    state = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), count))
    zeros = jnp.zeros(count)
    start = (state, zeros, zeros.astype(int), zeros > 0)
    (state, total, length, _), _ = jax.lax.scan(go_on, start, jax.random.split(jax.random.key(1), env.episode_length))
    return total, length, state.metrics["landed"]


def their_episodes(name: str, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns, lengths and whether they landed, of `count` episodes of Gymnasium's."""
    env = gymnasium.make("LunarLander-v3")
    generator, found = np.random.default_rng(0), []
    for seed in range(count):
        obs, _ = env.reset(seed=seed)
        total, length, over = 0.0, 0, False
        while not over:
            obs, reward, ended, cut, _ = env.step(POLICIES[name](env, obs, generator))
            total, length, over = total + float(reward), length + 1, ended or cut
        found.append((total, length, ended and reward == 100))
    returns, lengths, landed = map(np.asarray, zip(*found, strict=True))
    return returns, lengths, landed


def episodes(env: LunarLander, count: int) -> None:
    """Prints mean returns, lengths and shares of landings, here and there."""
    print("| policy | return here | there | difference, standard errors | length here | there | landed here | there |")
    print("|---" * 8 + "|")
    for name in POLICIES:
        ours, want = map(np.asarray, our_episodes(env, name, count)), their_episodes(name, count)
        (r, n, s), (rt, nt, st) = ours, want
        error = np.sqrt((r.var() + rt.var()) / count)
        gap = r.mean() - rt.mean()
        print(
            f"| {name} | {r.mean():.1f} ± {r.std():.0f} | {rt.mean():.1f} ± {rt.std():.0f} "
            f"| {gap:+.1f}, {gap / error:+.1f} | {n.mean():.1f} | {nt.mean():.1f} | {s.mean():.1%} | {st.mean():.1%} |"
        )


def main() -> None:
    """Prints one of the studies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("flight", "touch", "episodes"))
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--velocity_iterations", type=int, default=VELOCITY_ITERATIONS)
    parser.add_argument("--position_iterations", type=int, default=POSITION_ITERATIONS)
    args = parser.parse_args()
    start_jax()
    env = LunarLander(False, args.velocity_iterations, args.position_iterations)
    {"flight": flight, "touch": touch, "episodes": episodes}[args.study](env, args.episodes)


if __name__ == "__main__":
    main()

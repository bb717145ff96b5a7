"""Several devices that share the environments: the same mathematics, and what a run on them must keep."""

import pathlib
import subprocess
import sys
from typing import Any

import pytest

from tests.devices import several_devices, two_devices


def test_an_update_on_two_devices_is_that_of_one() -> None:
    """Both devices draw the same rows of one environment each, so two minibatches of 8 are one of 16 of them all."""
    found = two_devices("""
config = AwrConfig(batch_size=16, policy_hidden=(8,), value_hidden=(8,), optimizer="sgd", value_lr=0.1)
learner = Learner(config, 3, 2, discrete=False)
state = learner.init(jax.random.key(0))
rng = np.random.default_rng(0)
obs, target = rng.normal(size=(32, 3)).astype("f"), rng.normal(size=32).astype("f")
valid = rng.random(32) < 0.6
valid[:16] &= rng.random(16) < 0.5  # the devices' shares have unlike numbers of valid rows

def steps(obs, target, valid):
    def loss(params, batch):
        prediction = learner._value_output(params, state.normalizer, batch.obs)[..., 0]
        return losses.value_loss(prediction, batch.extra["t"], batch.valid)
    def read(place):
        return replay.Batch(obs, target, {"t": target}, valid)
    params, _, mean = regress(loss, learner._value_tx, state.value, state.value_opt, read, jnp.zeros(3))
    centre, std = reduce.mean_and_std(target, valid)
    seen = normalizer.update(state.normalizer, obs[None], valid[None])
    return params, mean, centre, std, reduce.maximum(target, valid), seen

one = jax.jit(steps)(obs, target, valid)
mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("env",))
two = share_out(steps, mesh, (FIRST, FIRST, FIRST), SAME)(obs, target, valid)
apart = max(float(jnp.abs(a - b).max()) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two)))
moved = max(float(jnp.abs(a - b).max()) for a, b in zip(jax.tree.leaves(one[0]), jax.tree.leaves(state.value)))
print(json.dumps({"apart": apart, "moved": moved, "devices": jax.device_count()}))
""")
    assert found["devices"] == 2
    assert found["moved"] > 1e-3
    assert found["apart"] < 1e-6


def test_rows_that_count_are_drawn_alike_from_both_devices() -> None:
    """One device has 3 of the 12 valid rows, or none: its minibatches hold as many, and weigh as much."""
    found = two_devices("""
def ring(valid):
    rows = replay.init(10, 4, 1, 1, discrete=False)
    return rows.replace(rows=rows.rows.replace(valid=valid))
def draws(valid):
    seen = ring(valid)
    batch = replay.read(seen, replay.draw_valid(seen, jax.random.key(0), 4000))
    return batch.valid.sum()[None]
mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("env",))
shares = []
for first, second in ((9, 3), (12, 0), (0, 0)):
    valid = np.zeros((10, 8), bool)
    valid[:, :4].flat[np.arange(first) * 3], valid[:, 4:].flat[np.arange(second) * 3] = True, True
    shares.append(np.asarray(share_out(draws, mesh, (SECOND,), FIRST)(valid)).tolist())
config = AwrConfig(gamma=0.5, rollout_steps=4, buffer_blocks=4, batch_size=16, returns="monte_carlo")
loop = Loop(Chain(), config, 8, devices=2)
state, metrics = loop.epoch(loop.init(0))
print(json.dumps({"shares": shares, "finite": all(bool(jnp.isfinite(x).all()) for x in metrics.values()),
                  "counted": float(metrics["counted_share"][0])}))
""")
    shares: Any = found["shares"]
    assert shares[0][0] == 4000  # all of those of the device that has most
    assert shares[0][1] == pytest.approx(4000 / 3, abs=5 * (4000 * 2 / 9) ** 0.5)
    assert shares[1:] == [[4000, 0], [0, 0]]
    assert found["finite"] is True
    assert 0 < float(str(found["counted"])) < 1


def test_every_device_has_the_tables_of_the_task() -> None:
    found = two_devices("""
class Paid(Chain):
    def __init__(self, pay):
        super().__init__()
        self.tables = jnp.full(3, pay)
    def step(self, state, action):
        return super().step(state, action).replace(reward=self.tables.mean())
config = AwrConfig(rollout_steps=2, buffer_blocks=2, batch_size=16, policy_hidden=(8,), value_hidden=(8,),
                   policy_updates=1, value_updates=1)
paid, texts = [], []
for pay in (1.0, 3.0):
    loop = Loop(Paid(pay), config, 8, devices=2)
    texts.append(loop.epoch.lower(loop.template()).as_text())
    paid.append(float(loop.epoch(loop.init(0))[1]["reward_per_step"][0]))
print(json.dumps({"paid": paid, "same": texts[0] == texts[1]}))
""")
    assert found == {"paid": [1.0, 3.0], "same": True}


def test_the_state_is_shared_out_and_the_networks_are_the_same() -> None:
    found = two_devices("""
config = AwrConfig(rollout_steps=2, buffer_blocks=2, batch_size=16, policy_hidden=(8,), value_hidden=(8,),
                   policy_updates=3, value_updates=3)
loop = Loop(Chain(), config, 8, epoch_iterations=2, devices=2)
state = loop.init(0)
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, _, **about: compiled.append(name) if name.endswith("backend_compile_duration") else None)
for _ in range(3):
    state, metrics = loop.epoch(state)
times = len(compiled)
parts = lambda x: [np.asarray(shard.data) for shard in x.addressable_shards]
nets = [parts(x) for x in jax.tree.leaves(state.learner)]
same = all(np.array_equal(a, b) for a, b in nets)
ring, template = state.ring.rows, loop.template()
print(json.dumps({
    "same": same, "steps": int(state.counts.env_steps), "valid": float(metrics["ring_valid"][-1]),
    "counted": int(ring.valid.sum()), "shares": [list(x.shape) for x in parts(ring.reward)],
    "alike": bool(np.array_equal(*parts(ring.action))),
    "placed": all(x.sharding == y.sharding for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(template))),
    "compiled": times, "planned": memory.held(template),
    "taken": loop.epoch.lower(template).compile().memory_analysis().argument_size_in_bytes,
}))
""")
    assert found["same"] is True
    assert found["steps"] == 3 * 2 * 2 * 8
    assert found["valid"] == found["counted"]
    assert found["shares"] == [[4, 4], [4, 4]]
    assert found["alike"] is False  # each device draws its own actions
    assert found["placed"] is True
    assert found["compiled"] == 1
    assert found["planned"] == found["taken"]  # by each device


FEW_EPISODES = """
from awr_mjx.train.engine.evaluation import Evaluator
learner = Learner(AwrConfig(policy_hidden=(), value_hidden=()), 4, 2, discrete=False)
state, task, key = jax.jit(learner.init)(jax.random.key(0)), Chain(), jax.random.key(1)
mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("env",))
class Pays(Chain):
    def step(self, state, action):
        return super().step(state, action).replace(reward=action[0])

def play(count, where, sample):
    seen = Evaluator(Pays() if sample else task, learner, count, where, sample)(state.policy, state.normalizer, key)
    return [seen.returns.round(5).tolist(), seen.lengths.tolist()]

print(json.dumps({f"{count} {sample}": [play(count, None, sample), play(count, mesh, sample)]
                  for count in (1, 7) for sample in (False, True)}))
"""


def test_episodes_are_shared_out_however_few_they_are() -> None:
    """The same episodes as on one device: a fifth of the devices' number, and no multiple of it."""
    found = several_devices(5, FEW_EPISODES)
    lengths = {said: len(one[1]) for said, (one, _) in found.items()}
    assert lengths == {"1 False": 1, "1 True": 1, "7 False": 7, "7 True": 7}
    assert all(one == shared for one, shared in found.values())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--devices 3 --num_envs 64", "num_envs 64 cannot be shared out evenly over 3 devices"),
        ("--devices 2 --batch_size 255", "batch_size 255 cannot be shared out evenly over 2 devices"),
        ("--devices -1", "devices must be a positive number, or 0 for all"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(tmp_path: pathlib.Path, flags: str, message: str) -> None:
    command = [
        sys.executable,
        "-m",
        "train.main",
        "--env",
        "cartpole",
        *flags.split(),
        "--run_dir",
        str(tmp_path / "r"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

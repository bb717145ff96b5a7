"""A policy as a file that NumPy alone can play."""

import ast
import importlib.metadata
import json
import pathlib
import shutil
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs.base import BrokenTask
from awr_mjx.train import export, transfer
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.policies import formats, npz_player
from tests.trained import make_player, pendulum_run, python, refusal

__all__ = ["pendulum_run"]  # a fixture

ROOT = pathlib.Path(__file__).parent.parent.parent


TASKS: list[tuple[str, dict[str, Any]]] = [
    ("inverted_pendulum", {"activation": "relu"}),
    ("inverted_pendulum", {"activation": "silu", "learn_std": True}),
    ("inverted_pendulum", {"activation": "tanh", "obs_clip": 2.0, "policy_hidden": (), "std_end": 0.1}),
    ("cartpole", {"activation": "relu"}),
    ("cartpole", {"activation": "silu"}),
]


@pytest.mark.parametrize("kind", ["onnx", "stablehlo"])
@pytest.mark.parametrize(("task", "awr"), TASKS)
def test_onnx_and_stablehlo_play_as_jax_does(tmp_path: pathlib.Path, task: str, awr: dict[str, Any], kind: str) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
    player, out = make_player(task, **awr), tmp_path / f"policy.{kind}"
    assert export.export(player, out) <= formats.KINDS[kind].tolerance
    for rows in (1, 64):  # the batch is free
        obs = np.random.default_rng(rows).normal(0.0, 3.0, (rows, 4)).astype(np.float32)
        wanted: Any = player.learner.policy(player.learned.policy, player.learned.normalizer, jnp.asarray(obs))
        if kind == "onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(out)
            names = [output.name for output in session.get_outputs()]
            got = dict(zip(names, session.run(None, {"obs": obs}), strict=True))
            told = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
            std = told.pop("action_std", None)
        else:
            got = jax.export.deserialize(bytearray(out.read_bytes())).call(obs)
            std, told = got.get("std"), json.loads(formats.write_metadata(player, out).read_text())  # type: ignore[union-attr]
        assert told == formats.metadata(player)
        if task == "cartpole":
            np.testing.assert_allclose(got["logits"], wanted.logits, atol=1e-5)
            np.testing.assert_array_equal(got["action"], wanted.mode())
        else:
            np.testing.assert_allclose(got["action"], wanted.mode(), atol=1e-5)
            np.testing.assert_allclose(std, wanted.std, rtol=1e-6)


@pytest.mark.parametrize(("task", "awr"), TASKS)
def test_exported_policy_plays_as_jax_does(tmp_path: pathlib.Path, task: str, awr: dict[str, Any]) -> None:
    player = make_player(task, **awr)
    out = tmp_path / "policy.npz"
    assert export.export(player, out) <= 1e-5
    policy = npz_player.load(out)

    obs = np.random.default_rng(1).normal(0.0, 3.0, (64, 4)).astype(np.float32)
    wanted = player.learner.policy(player.learned.policy, player.learned.normalizer, jnp.asarray(obs))
    got = policy(obs)
    if task == "cartpole":
        np.testing.assert_allclose(policy.output(obs), wanted.logits, atol=1e-5)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(got, wanted.mode())
        assert len(set(got)) == 2  # both actions occur
        assert policy(obs[0]) == got[0]
        assert type(policy(obs[0])) is int
        assert policy.action_std is None
    else:
        np.testing.assert_allclose(got, wanted.mode(), atol=1e-5)
        np.testing.assert_array_equal(policy.action_std, wanted.std)  # type: ignore[attr-defined]
        np.testing.assert_allclose(policy(obs[0]), got[0], atol=1e-5)
        assert got.dtype == np.float32
        assert got.shape == (64, 1)
        assert policy(obs[0]).shape == (1,)
        assert np.abs(got).max() > 1  # the mode is not clipped


def test_export_check_reaches_the_clipped_range() -> None:
    player = make_player("cartpole")
    obs = export.check_observations(player, 1000)
    stats = player.learned.normalizer
    z = np.abs(obs - np.asarray(stats.mean)) / np.maximum(np.sqrt(np.asarray(stats.variance)), 0.01)
    clip = player.config.awr.obs_clip
    assert obs.shape == (1000, 4)
    assert (z[0::5, 2:] > clip).mean() > 0.5
    assert (np.delete(z, np.s_[0::5], axis=0) < clip).all()


def test_file_says_what_the_policy_is_for(tmp_path: pathlib.Path) -> None:
    player = make_player("inverted_pendulum", activation="silu", obs_clip=7.0)
    export.export(player, tmp_path / "policy.npz")
    with np.load(tmp_path / "policy.npz", allow_pickle=False) as file:
        told = json.loads(str(file["metadata"]))
        kinds = {file[name].dtype.kind for name in file.files if name != "metadata"}
        assert file["obs_std"][1] == np.float32(0.01)  # the floor
    assert kinds == {"f"}
    assert told == {
        "format": "awr_mjx policy",
        "format_version": 1,
        "awr_mjx_version": importlib.metadata.version("awr_mjx"),
        "task": "inverted_pendulum",
        "env_steps": 1234,
        "control_dt": 0.04,
        "observation_size": 4,
        "observation_names": ["cart_position", "pole_angle", "cart_velocity", "pole_angular_velocity"],
        "observation_low": None,
        "observation_high": None,
        "action_size": 1,
        "action_names": ["slide"],
        "discrete": False,
        "action_low": -1.0,
        "action_high": 1.0,
        "gymnasium": {"name": "InvertedPendulum-v5", "options": {}, "action_scale": 3.0},
        "hidden": [32, 16],
        "activation": "silu",
        "obs_clip": 7.0,
        "obs_std_min": 0.01,
    }


@pytest.mark.parametrize("damage", ["player", "nan"])
def test_policy_that_plays_differently_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    player = make_player("cartpole", activation="tanh")
    out = tmp_path / "policy.npz"
    out.write_bytes(b"an earlier file")
    if damage == "player":
        monkeypatch.setitem(npz_player.ACTIVATIONS, "tanh", lambda x: np.tanh(x) + 1e-4)
    else:
        player.learned.policy["net"]["out"]["bias"] = jnp.array([np.nan, 0.0])
    with pytest.raises(UserError, match="not exported: outputs differ"):
        export.export(player, out)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("policy.npz", b"an earlier file")]


def test_export_program(pendulum_run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    done = python("-m", "train.export", "--run", pendulum_run)
    assert done.returncode == 0, done.stderr
    assert "1,234 env steps" in done.stdout
    assert "differ from JAX's by at most" in done.stdout
    out = pendulum_run / "policy.npz"

    # The player, copied elsewhere and isolated from this project, needs nothing but NumPy.
    alone = tmp_path / "npz_player.py"
    shutil.copy(npz_player.__file__, alone)
    shown = python("-I", alone, out, cwd=tmp_path)
    assert json.loads(shown.stdout) == npz_player.load(out).metadata
    obs = [0.1, 0.2, 0.3, 0.4]
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import npz_player; "
    script += f"print(float(npz_player.load({str(out)!r})({obs})[0])); assert not {{'jax', 'train'}} & set(sys.modules)"
    played = python("-I", "-c", script, cwd=tmp_path)
    assert played.returncode == 0, played.stderr
    assert float(played.stdout) == pytest.approx(float(npz_player.load(out)(obs)[0]), abs=1e-6)


def test_player_imports_only_numpy() -> None:
    tree = ast.parse(pathlib.Path(npz_player.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) == {"numpy"}


def test_player_refuses_what_it_cannot_play(tmp_path: pathlib.Path) -> None:
    export.export(make_player("cartpole"), tmp_path / "policy.npz")
    policy = npz_player.load(tmp_path / "policy.npz")
    with pytest.raises(ValueError, match=r"observations \[4\] or \[B, 4\], not \[2, 5\]"):
        policy(np.zeros((2, 5)))
    with pytest.raises(OSError, match="nowhere"):
        npz_player.load(tmp_path / "nowhere.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("no arrays")
    for name in ("other.npz", "text.npz"):
        with pytest.raises(ValueError, match="not an exported policy"):
            npz_player.load(tmp_path / name)
    np.savez(tmp_path / "later.npz", metadata=np.array(json.dumps(policy.metadata | {"format_version": 2})))
    with pytest.raises(ValueError, match="format version 2"):
        npz_player.load(tmp_path / "later.npz")
    done = python(npz_player.__file__, tmp_path / "text.npz")
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path / 'text.npz'} is not an exported policy\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--out", "nowhere/policy.npz"], "cannot write nowhere/policy.npz: No such file or directory"),
        (["--out", "policy.onnx", "--format", "npz"], "out must end in .npz, not .onnx"),
        (["--out", "policy.pt"], "out must end in .npz, .onnx, .stablehlo, not policy.pt"),
        (["--out", "policy"], "out must end in .npz, .onnx, .stablehlo, not policy"),
        (["--format", "torch"], "torch"),
        (["--step", "5"], "no checkpoint 5; it has 1234"),
    ],
)
def test_export_refuses(
    pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, args: list[str], words: str
) -> None:
    assert words in refusal(monkeypatch, export, "--run", pendulum_run, *args)


def test_folder_that_is_no_run_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{tmp_path} is not a run folder" in refusal(monkeypatch, export, "--run", tmp_path)
    assert "ant is a policy that comes with the project" in refusal(monkeypatch, export, "--run", "ant")


@pytest.mark.parametrize("kind", list(formats.KINDS))
def test_a_wrong_number_of_names_is_refused(kind: str, tmp_path: pathlib.Path) -> None:
    player = make_player("inverted_pendulum")
    env: Any = player.env
    env.observation_names = np.array(["p"])
    with pytest.raises(BrokenTask, match="observation_names has 1 names, and there are 4 to name"):
        export.export(player, tmp_path / f"policy.{kind}")
    env.observation_names, env.action_names = np.array(list("abcd")), ["force", "torque"]
    with pytest.raises(BrokenTask, match="action_names has 2 names, and there are 1 to name"):
        export.export(player, tmp_path / f"policy.{kind}")
    env.action_names = ()
    with pytest.raises(BrokenTask, match="action_names has 0 names"):
        export.export(player, tmp_path / f"policy.{kind}")
    assert not list(tmp_path.iterdir())


def test_onnx_policy_plays_in_gymnasium_without_this_project(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("onnxruntime")
    player = make_player("cartpole")
    export.export(player, tmp_path / "policy.onnx")
    script = tmp_path / "play_onnx.py"
    shutil.copy(ROOT / "docs" / "examples" / "play_onnx.py", script)
    tree = ast.parse(script.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert imported - set(sys.stdlib_module_names) == {"gymnasium", "numpy", "onnxruntime"}
    done = python("-I", script, "policy.onnx", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    returns, _ = transfer.play_in_gymnasium(player, 5, 0)  # the same start states, by their seeds
    assert done.stdout == f"CartPole-v1: {returns.mean():.1f} ± {returns.std():.1f} over 5 episodes\n"

"""The files a policy is shipped in: how each kind is written, and how it is played without this project.

All of them bake the observation normaliser in, take any number of observations [B, O], and carry `metadata`.
"""

import dataclasses
import importlib.metadata
import importlib.util
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.algorithm import normalizer
from awr_mjx.envs.base import action_names, observation_names
from awr_mjx.envs.packages import install
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.files import write_json
from awr_mjx.train.engine.player import Player
from awr_mjx.train.policies import npz_player

PLATFORMS = ("cpu", "cuda", "tpu")
ONNX_OPSET, ONNX_IR = 17, 8  # of 2022: old runtimes on robots read them too


def metadata(player: Player) -> dict[str, Any]:
    """What the policy is for, as plain JSON values; `control_dt` is in seconds per action, null bounds are infinite.

    `gymnasium` says which environment plays the task, with which options, and what to multiply actions by there;
    `deployment`, for tasks that have it, what else it takes to play the policy.
    """
    config, env = player.config.awr, player.env
    twin = getattr(env, "gymnasium", None)
    deployment = {"deployment": env.deployment()} if hasattr(env, "deployment") else {}
    return {
        "format": npz_player.FORMAT,
        "format_version": npz_player.VERSION,
        "awr_mjx_version": importlib.metadata.version("awr_mjx"),
        "task": player.config.env,
        player.config.clock: player.steps,
        "control_dt": env.dt,
        "observation_size": env.observation_size,
        "observation_names": observation_names(env),
        "observation_low": None,
        "observation_high": None,
        "action_size": env.action_size,
        "action_names": action_names(env),
        "discrete": env.discrete,
        "action_low": None if env.discrete else -1.0,
        "action_high": None if env.discrete else 1.0,
        "gymnasium": twin and dataclasses.asdict(twin),
        "hidden": list(config.policy_hidden),
        "activation": config.activation,
        "obs_clip": config.obs_clip,
        "obs_std_min": normalizer.STD_MIN,
        **deployment,
    }


def arrays(player: Player) -> dict[str, np.ndarray]:
    """The policy's float32 arrays: `obs_mean` and `obs_std` [O] (floor applied), `<layer>_kernel` [I, K],
    `<layer>_bias` [K], and `action_std` [A] unless the actions are discrete."""
    policy, stats = player.learned.policy, player.learned.normalizer
    found = {
        "obs_mean": np.asarray(stats.mean),
        "obs_std": np.maximum(np.sqrt(np.asarray(stats.variance)), np.float32(normalizer.STD_MIN)),
    }
    for layer, values in policy["net"].items():
        found |= {f"{layer}_{name}": np.asarray(value) for name, value in values.items()}
    if not player.env.discrete:
        found["action_std"] = np.asarray(player.learner.action_std(policy))
    return found


def jax_outputs(player: Player, obs: jax.Array) -> dict[str, jax.Array]:
    """What a file gives for observations [B, O]: `action`, the mode ([B, A], not clipped, or int [B]), and its
    `std` [A], or the `logits` [B, A] of discrete actions."""
    with jax.default_matmul_precision("highest"):
        policy: Any = player.learner.policy(player.learned.policy, player.learned.normalizer, obs)
    if player.env.discrete:
        return {"action": policy.mode(), "logits": policy.logits}
    return {"action": policy.mode(), "std": policy.std}


def write_npz(player: Player, path: pathlib.Path) -> None:
    """NumPy arrays; the metadata is a JSON string in an array of its own."""
    content: dict[str, Any] = {"metadata": np.array(json.dumps(metadata(player))), **arrays(player)}
    with path.open("wb") as file:  # an open file, because NumPy adds .npz to a name that has another ending
        np.savez(file, **content)


def play_npz(path: pathlib.Path, obs: np.ndarray) -> np.ndarray:
    """The network's outputs [B, A] for observations [B, O], by NumPy alone."""
    return npz_player.load(path).output(obs)


def write_onnx(player: Player, path: pathlib.Path) -> None:
    """An ONNX graph from `obs` [batch, O] to `action`, and to `logits` for discrete actions; each property of the
    model is a metadata value as JSON.

    Raises:
      UserError: if the package onnx is not there.
    """
    if importlib.util.find_spec("onnx") is None or importlib.util.find_spec("onnxruntime") is None:
        raise UserError(f"onnx and onnxruntime are not installed: {install('onnx')}")
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    told, weights = metadata(player), arrays(player)
    clip = told["obs_clip"]
    weights |= {"clip_low": np.asarray(-clip, np.float32), "clip_high": np.asarray(clip, np.float32)}
    std = weights.pop("action_std", None)
    nodes = [
        helper.make_node("Sub", ["obs", "obs_mean"], ["centred"]),
        helper.make_node("Div", ["centred", "obs_std"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "clip_low", "clip_high"], ["normalised"]),
    ]
    value = "normalised"
    for i in range(len(told["hidden"])):
        layer, before, after = f"hidden_{i}", f"linear_{i}", f"active_{i}"
        nodes.append(helper.make_node("Gemm", [value, f"{layer}_kernel", f"{layer}_bias"], [before]))
        if told["activation"] == "silu":
            nodes.append(helper.make_node("Sigmoid", [before], [f"gate_{i}"]))
            nodes.append(helper.make_node("Mul", [before, f"gate_{i}"], [after]))
        else:
            nodes.append(helper.make_node({"relu": "Relu", "tanh": "Tanh"}[told["activation"]], [before], [after]))
        value = after
    last = "logits" if told["discrete"] else "action"
    nodes.append(helper.make_node("Gemm", [value, "out_kernel", "out_bias"], [last]))
    outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", told["action_size"]])]
    if told["discrete"]:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["action"], axis=1, keepdims=0))
        outputs.insert(0, helper.make_tensor_value_info("action", TensorProto.INT64, ["batch"]))
    else:
        told["action_std"] = [float(x) for x in std]  # type: ignore[union-attr]
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["batch", told["observation_size"]])],
        outputs,
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="awr_mjx",
        producer_version=told["awr_mjx_version"],
        opset_imports=[helper.make_opsetid("", ONNX_OPSET)],
        ir_version=ONNX_IR,
    )
    helper.set_model_props(model, {name: json.dumps(value) for name, value in told.items()})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def play_onnx(path: pathlib.Path, obs: np.ndarray) -> np.ndarray:
    """The network's outputs [B, A] for observations [B, O], by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    last = "logits" if "logits" in [output.name for output in session.get_outputs()] else "action"
    return np.asarray(session.run([last], {"obs": obs})[0])


def write_stablehlo(player: Player, path: pathlib.Path) -> None:
    """`jax.export`'s serialised StableHLO of `jax_outputs`, for CPU, CUDA and TPU, with a symbolic batch."""
    obs = jax.ShapeDtypeStruct((*jax.export.symbolic_shape("batch"), player.env.observation_size), jnp.float32)
    exported = jax.export.export(jax.jit(lambda obs: jax_outputs(player, obs)), platforms=PLATFORMS)(obs)
    path.write_bytes(exported.serialize())


def play_stablehlo(path: pathlib.Path, obs: np.ndarray) -> np.ndarray:
    """The network's outputs [B, A] for observations [B, O], by JAX alone."""
    outputs = jax.export.deserialize(bytearray(path.read_bytes())).call(obs)
    return np.asarray(outputs.get("logits", outputs["action"]))


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
      write: writes a policy to a path.
      play: the file's outputs [B, A] (mean actions or logits) for observations [B, O].
      tolerance: the largest difference from JAX that is let through.
      player: what plays it, for people.
      how: how to play it, for people, with the file's name in place of {name}.
    """

    write: Callable[[Player, pathlib.Path], None]
    play: Callable[[pathlib.Path, np.ndarray], np.ndarray]
    tolerance: float
    player: str
    how: str


KINDS = {
    "npz": Kind(
        write_npz,
        play_npz,
        1e-5,
        "NumPy",
        "copy awr_mjx/train/policies/npz_player.py beside it, then load({name!r})(obs)",
    ),
    "onnx": Kind(
        write_onnx,
        play_onnx,
        1e-5,
        "onnxruntime",
        'onnxruntime.InferenceSession({name!r}).run(["action"], {{"obs": obs}}), obs float32 [B, O]',
    ),
    "stablehlo": Kind(
        write_stablehlo,
        play_stablehlo,
        1e-6,
        "jax.export",
        'jax.export.deserialize(bytearray(open({name!r}, "rb").read())).call(obs)["action"], obs float32 [B, O]',
    ),
}


def write_metadata(player: Player, out: pathlib.Path) -> pathlib.Path | None:
    """Writes the metadata beside a file of a kind that cannot hold it, and returns its path."""
    if out.suffix != ".stablehlo":
        return None
    beside = out.with_name(out.name + ".json")
    write_json(beside, metadata(player))
    return beside

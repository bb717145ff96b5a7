"""The settings that the authors of Brax and of MuJoCo Playground published for PPO and SAC."""

from typing import Any

from awr_mjx.train.console.errors import UserError

NOTEBOOK = "google/brax notebooks/training.ipynb"
SUITE = "MuJoCo Playground config/dm_control_suite_params.py"

# What Brax's authors published: a row a task, and one for all others.
PPO_COLUMNS = "num_envs unroll_length batch_size num_updates_per_batch".split()
PPO_COLUMNS += "learning_rate discounting entropy_cost reward_scaling".split()
PPO = {
    "ant": (4096, 5, 2048, 4, 3e-4, 0.97, 1e-2, 10.0, NOTEBOOK),
    "halfcheetah": (2048, 20, 512, 8, 3e-4, 0.95, 1e-3, 1.0, NOTEBOOK),
    "humanoid": (2048, 10, 1024, 8, 3e-4, 0.97, 1e-3, 0.1, NOTEBOOK),
    "inverted_pendulum": (2048, 5, 1024, 4, 3e-4, 0.97, 1e-2, 10.0, NOTEBOOK),
    # Playground's trainer also resets all environments between evaluations.
    "suite": (2048, 30, 1024, 16, 1e-3, 0.995, 1e-2, 10.0, f"{SUITE}, brax_ppo_config without num_resets_per_eval"),
}
SAC_COLUMNS = "batch_size grad_updates_per_step learning_rate discounting reward_scaling".split()
SAC_COLUMNS += ["q_network_layer_norm"]
SAC = {
    "hopper": (512, 64, 6e-4, 0.997, 30.0, False, NOTEBOOK),
    "walker2d": (128, 32, 6e-4, 0.997, 5.0, False, NOTEBOOK),
    # A fourth of Playground's replay buffer, as in the notebook: humanoid's then takes 3 GB, not 12.
    "suite": (512, 8, 1e-3, 0.99, 1.0, True, f"{SUITE}, brax_sac_config with max_replay_size 1048576, not 4194304"),
}
SHARED = {"normalize_observations": True, "action_repeat": 1}
PPO_SHARED = SHARED | {"num_minibatches": 32}
SAC_SHARED = SHARED | {"num_envs": 128, "min_replay_size": 8192, "max_replay_size": 1048576}


def hyper_parameters(algorithm: str, env: str, like: str | None = None) -> dict[str, Any]:
    """The settings published for task `env`, with or without a prefix such as `paper/`, or for task `like`.

    Raises:
      UserError: if nothing is published for `like`.
    """
    tables: dict[str, Any] = {"ppo": (PPO_COLUMNS, PPO, PPO_SHARED), "sac": (SAC_COLUMNS, SAC, SAC_SHARED)}
    columns, table, shared = tables[algorithm]
    if like and like not in table:
        raise UserError(f"nothing is published for {algorithm} on {like!r}: like can be {', '.join(table)}")
    name = like or env.rpartition("/")[2]
    name = name if name in table else "suite"
    *values, source = table[name]
    return shared | dict(zip(columns, values, strict=True)) | {"source": f"{source}, published for {name}"}


def schedule(hyper: dict[str, Any]) -> tuple[int, int, int]:
    """Env steps that fill SAC's replay buffer; env steps of a training step, all environments; its gradient steps."""
    envs, minibatches = hyper["num_envs"], hyper.get("num_minibatches")
    if not minibatches:
        return -(-hyper["min_replay_size"] // envs) * envs, envs, hyper["grad_updates_per_step"]
    steps = hyper["batch_size"] * minibatches * hyper["unroll_length"]
    return 0, steps, minibatches * hyper["num_updates_per_batch"]

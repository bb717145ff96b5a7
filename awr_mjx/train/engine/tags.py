"""Where TensorBoard and Weights & Biases show what is logged: a group for each part of a training."""

GROUPS = {
    "rollout": (
        *("reward_per_step", "episode_return", "episode_steps", "episodes_finished", "terminated_share", "quarantined"),
        *("gave_up_share", "counted_share"),
    ),
    "policy": (
        *("policy_loss", "policy_step", "kl", "entropy", "action_std", "beta", "advantage_std"),
        *("effective_sample_share", "weight_max", "weight_mean", "weight_clipped"),
    ),
    "value": ("value_loss", "value_mean", "explained_variance", "horizon"),
}
STARTS = (
    ("mode_terms/reward_", "eval/reward/"),
    ("mode_terms/", "eval/task/"),
    ("mode_", "eval/"),
    ("held_out_", "held_out/"),
    ("terms/reward_", "reward/"),
    ("terms/", "task/"),
    ("ring_", "ring/"),
)
ENDS = ("_seconds", "_per_second", "_steps")
_PLACES = {name: f"{group}/{name}" for group, names in GROUPS.items() for name in names}


def tag(name: str) -> str:
    """The tag of a metric: `eval/return` is that of `mode_return`, `reward/forward` that of `terms/reward_forward`."""
    if name in _PLACES:
        return _PLACES[name]
    for start, group in STARTS:
        if name.startswith(start):
            return group + name.removeprefix(start)
    return f"time/{name}" if name.endswith(ENDS) else f"train/{name}"

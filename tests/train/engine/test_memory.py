"""The memory plan: what each device holds, and whether it fits into the memory that is free."""

import pathlib
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import container, memory
from awr_mjx.train.engine.memory import MemoryPlan

GROUPS_2 = "0::/a/b\n"
GROUPS_1 = "9:name=systemd:/\n4:memory,hugetlb:/a/b\n1:cpu,cpuacct:/a/b\n0::/\n"


def array(count: int, devices: int, shared_out: bool) -> jax.ShapeDtypeStruct:
    """`count` float32 numbers, each device with its share of them or with all."""
    mesh = AbstractMesh((devices,), ("env",))
    spec = PartitionSpec("env") if shared_out else PartitionSpec()
    return jax.ShapeDtypeStruct((count,), np.float32, sharding=NamedSharding(mesh, spec))


class Device:
    def __init__(self, platform: str, limit: int = 0, used: int = 0) -> None:
        self.platform, self._stats = platform, {"bytes_limit": limit, "bytes_in_use": used}

    def memory_stats(self) -> dict[str, int]:
        return self._stats


class State:
    """A ring of 1000 numbers, environments of 200 and a learner of 50, on some devices."""

    def __init__(self, devices: int) -> None:
        self.ring, self.env = (array(count, devices, True) for count in (1000, 200))
        self.learner = array(50, devices, False)


def plan(devices: list[Device], with_ring: bool = True) -> MemoryPlan:
    state: Any = State(len(devices))
    return memory.plan(state, with_ring, devices)


def test_accelerators_hold_a_share_each() -> None:
    """The one with least memory free must hold a quarter of what is shared out, and all of the networks."""
    found = plan([Device("gpu", 10_000), Device("gpu", 10_000, 4_000), *2 * [Device("gpu", 9_000)]])
    assert (found.ring, found.environments, found.learner) == (1000, 200, 200)
    assert found.snapshot == 1000 + 200 + 200
    assert found.free == 6_000
    assert found.in_all(70) == 70  # of an iteration's workspace on each
    assert "free on each of 4 devices" in str(found)


def test_devices_of_a_cpu_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of them hold the ring once and the networks, as the workspace, four times."""
    monkeypatch.setattr(memory, "host_memory", lambda: 20_000)
    found = plan(4 * [Device("cpu")], with_ring=False)
    assert (found.ring, found.environments, found.learner) == (4000, 800, 800)
    assert found.snapshot == 800 + 800
    assert found.free == 20_000
    assert found.in_all(70) == 280
    assert "each" not in str(found)


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "host_memory", lambda: 12_000)
    found = plan([Device("cpu")])  # 10,000 bytes
    found.refuse(2_000)
    with pytest.raises(UserError, match=r"needs 12\.0 kB of memory and 12\.0 kB are free: lower --num_envs"):
        found.refuse(2_001)
    monkeypatch.setattr(memory, "host_memory", lambda: 9_999)
    with pytest.raises(UserError, match="lower --num_envs"):
        plan([Device("cpu")])


def write(root: pathlib.Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


MEMORY_2 = {
    "sys/fs/cgroup/a/b/memory.max": "max\n",
    "sys/fs/cgroup/a/b/memory.current": "500\n",
    "sys/fs/cgroup/a/memory.max": "4000\n",
    "sys/fs/cgroup/a/memory.current": "3000\n",
    "sys/fs/cgroup/a/memory.stat": "anon 9\ninactive_file 700\nslab 3\n",
}
MEMORY_1 = {
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "4000\n",  # the container's own group, seen as the root
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "3000\n",
    "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 700\n",
}


@pytest.mark.parametrize(("groups", "files"), [(GROUPS_2, MEMORY_2), (GROUPS_1, MEMORY_1)], ids=["v2", "v1"])
def test_a_containers_memory_limit_is_seen(tmp_path: pathlib.Path, groups: str, files: dict[str, str]) -> None:
    """4000 bytes less 3000 in use, of which 700 are files that can be read again."""
    write(tmp_path, {"proc/self/cgroup": groups} | files)
    assert container.free_memory(tmp_path) == 1700


CPU_2 = {"sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "250000 100000\n"}
CPU_1 = {"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(("groups", "files"), [(GROUPS_2, CPU_2), (GROUPS_1, CPU_1)], ids=["v2", "v1"])
def test_a_containers_cpu_limit_is_seen(tmp_path: pathlib.Path, groups: str, files: dict[str, str]) -> None:
    write(tmp_path, {"proc/self/cgroup": groups} | files)
    assert container.cores(tmp_path) == 2  # of two and a half


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": GROUPS_2},
        {"proc/self/cgroup": "nonsense\n"},
        {"proc/self/cgroup": GROUPS_2, "sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        {"proc/self/cgroup": GROUPS_1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"},
    ],
)
def test_where_there_is_no_limit_none_is_found(tmp_path: pathlib.Path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    assert container.free_memory(tmp_path) is None
    assert container.cores(tmp_path) is None


def test_half_a_core_is_one(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"proc/self/cgroup": GROUPS_2, "sys/fs/cgroup/a/cpu.max": "50000 100000\n"})
    assert container.cores(tmp_path) == 1


def test_the_host_is_never_larger_than_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory.host_memory()
    assert whole > 1_000_000
    monkeypatch.setattr(container, "free_memory", lambda: 1_000_000)
    assert memory.host_memory() == 1_000_000

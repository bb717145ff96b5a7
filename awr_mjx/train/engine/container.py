"""What a container may use: memory and CPU limits of Linux control groups, versions 1 and 2.

`/proc/meminfo` and a process's affinity are those of the whole machine, also inside of a container.
"""

import pathlib
from collections.abc import Iterator

ROOT = pathlib.Path("/")


def free_memory(root: pathlib.Path = ROOT) -> int | None:
    """Bytes that this process's control groups have left, files that can be read again counted as free.

    None if there is no limit. `root` is where `proc` and `sys` lie.
    """
    found = []
    for folder, version in _groups(root, "memory"):
        names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        limit, used = (_numbers(folder / name) for name in names)
        if limit and used:
            again = _statistic(folder / "memory.stat", "inactive_file" if version == 2 else "total_inactive_file")
            found.append(max(limit[0] - used[0] + again, 0))
    return min(found, default=None)


def cores(root: pathlib.Path = ROOT) -> int | None:
    """Whole CPU cores that this process's control groups may use at a time, at least 1; None if there is no limit."""
    found = []
    for folder, version in _groups(root, "cpu"):
        if version == 2:
            quota_and_period = _numbers(folder / "cpu.max")
        else:
            quota_and_period = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
        if len(quota_and_period) == 2 and quota_and_period[0] > 0:  # -1: no limit
            found.append(max(quota_and_period[0] // quota_and_period[1], 1))
    return min(found, default=None)


def _groups(root: pathlib.Path, controller: str) -> Iterator[tuple[pathlib.Path, int]]:
    """The folders of this process's control group and of all above it, each with its version.

    A container often sees its own group as the topmost one, but is told its path on the host: what is not there has no
    numbers.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controller if controllers else "")
        place = top / path.lstrip("/")
        version = 1 if controllers else 2
        yield from ((folder, version) for folder in (place, *place.parents) if folder.is_relative_to(top))


def _numbers(path: pathlib.Path) -> list[int]:
    """The numbers of a file; none if it is not there or says "max"."""
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []


def _statistic(path: pathlib.Path, name: str) -> int:
    try:
        return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.split()[0] == name)
    except (OSError, StopIteration):
        return 0

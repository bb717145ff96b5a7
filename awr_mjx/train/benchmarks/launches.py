"""How many kernels a compiled program starts: on an accelerator each start takes microseconds, whatever it computes."""

import dataclasses
import re
from typing import Any

# Instructions that compute nothing: names for what is there.
FREE = frozenset(
    "parameter constant tuple get-tuple-element bitcast after-all partition-id replica-id opt-barrier "
    "async-update async-done copy-done all-reduce-done all-gather-done collective-permute-done".split()
)
_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = .*? ([a-z][\w-]*)\((.*)$")
_CALLED = re.compile(r"(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'known_trip_count"?:\{"?n"?:"?(\d+)')


@dataclasses.dataclass(frozen=True)
class Launches:
    """Attributes: `kernels` that a program starts, and `loops` in it that go on for as long as its data say, each
    counted as one turn."""

    kernels: int
    loops: int

    def plus(self, other: "Launches", times: int = 1) -> "Launches":
        """These and `times` the `other`."""
        return Launches(self.kernels + times * other.kernels, self.loops + times * other.loops)


def count(program: Any) -> Launches:
    """Those of a compiled program (`jax.stages.Compiled`), as the compiler of this machine's device has fused it.

    A loop's are those of all its turns where the compiler knows how many; those of a branch are its largest one's.
    """
    computations, entry = _computations(program.as_text())
    return _count(entry, computations, {})


def _computations(text: str) -> tuple[dict[str, list[tuple[str, str]]], str]:
    """The instructions, operation and rest of the line, of each computation by its name, and the name of the first."""
    found, entry, now = dict[str, list[tuple[str, str]]](), "", list[tuple[str, str]]()
    for line in text.splitlines():
        if head := _HEAD.match(line):
            now = found[head[2]] = []
            entry = head[2] if head[1] else entry
        elif instruction := _INSTRUCTION.match(line):
            now.append((instruction[1], instruction[2]))
    return found, entry


def _count(name: str, computations: dict[str, list[tuple[str, str]]], known: dict[str, Launches]) -> Launches:
    if name in known:
        return known[name]
    total = Launches(0, 0)
    for operation, rest in computations[name]:
        if operation in FREE:
            continue
        inside = [_count(one, computations, known) for one in _inside(operation, rest)]
        if operation == "while":
            trips = _TRIPS.search(rest)
            body = inside[0]
            total = total.plus(body, int(trips[1])) if trips else total.plus(Launches(body.kernels, body.loops + 1))
        elif operation == "conditional":
            total = total.plus(max(inside, key=lambda one: one.kernels))
        elif operation in ("call", "async-start"):
            total = total.plus(inside[0])
        else:
            total = total.plus(Launches(1, 0))
    known[name] = total
    return total


def _inside(operation: str, rest: str) -> list[str]:
    """The computations that an instruction runs as programs of their own."""
    if operation not in ("while", "conditional", "call", "async-start"):
        return []
    branches = _BRANCHES.search(rest)
    if branches:
        return [one.strip().lstrip("%") for one in branches[1].split(",")]
    return _CALLED.findall(rest)

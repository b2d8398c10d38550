"""Which tests go to one of xdist's workers together, and in which order.

A module's tests do: each other worker would make the module's database and server anew. What takes
longest begins first, so that no worker is left alone with it at the end.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

LONGEST = (
    *("drills", "test_apart.py", "test_serve.py", "test_run_state.py", "test_demo.py"),
    *("test_wheel.py", "test_budgets.py", "terminals", "test_scripts.py", "test_commands.py"),
)
"""Groups, and the names of modules whose tests are in none, from the longest on."""


class ModuleScheduling(LoadGroupScheduling):  # type: ignore[misc]
    """As xdist's own for groups; what is in none goes with its module."""

    def _split_scope(self, nodeid: str) -> str:
        group: str = super()._split_scope(nodeid)
        return group.partition("::")[0]


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests of a group or module one after the other, the longest first."""
    places = [_place_of(item) for item in items]
    first = {place: number for number, place in reversed([*enumerate(places)])}

    def key(numbered: tuple[int, pytest.Item]) -> tuple[int, int, int]:
        place = places[numbered[0]]
        name = Path(place).name
        rank = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        return rank, first[place], numbered[0]

    return [item for _, item in sorted(enumerate(items), key=key)]


def _place_of(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    return str(item.path) if mark is None else str(mark.args[0])

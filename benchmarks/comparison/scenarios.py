"""What is measured: sizes, of each the implementations and how often.

`DOCUMENTED` is what docs/benchmarks.md shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.comparison.peer_environment import PEER
from benchmarks.comparison.sizes import Size

RUNS: Final = 3
"""Of which the document shows medians; of the original, which takes minutes, one run."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A size, and how many runs of each implementation are measured at it."""

    size: Size
    runs: Mapping[str, int]
    """The floor and the peer are implementations, too."""
    only_total: bool = False
    """Whether the stages one by one, and Dagster's job, are left out."""


MANY_COMPANIES: Final = Size(companies=500, requests=40, messages=12, history=200_000)
FEW_COMPANIES: Final = replace(MANY_COMPANIES, companies=5, requests=4_000)
FAR: Final = replace(MANY_COMPANIES, delay=0.3, at_a_time=100)
NARROW: Final = replace(MANY_COMPANIES, at_a_time=5)
FAR_AND_NARROW: Final = replace(NARROW, delay=0.3)

_BESIDE_THE_ORIGINAL: Final = {"optimized": RUNS, "floor": RUNS, PEER: RUNS}
DOCUMENTED: Final = (
    Scenario(MANY_COMPANIES, {"original": 1, **_BESIDE_THE_ORIGINAL}),
    Scenario(FAR, {"optimized": RUNS}, only_total=True),
    Scenario(NARROW, {"optimized": RUNS}, only_total=True),
    Scenario(FAR_AND_NARROW, {"optimized": 1}, only_total=True),
    Scenario(FEW_COMPANIES, _BESIDE_THE_ORIGINAL, only_total=True),
)

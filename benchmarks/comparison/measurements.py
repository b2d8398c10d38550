"""What was measured, medians of it, and the file that they are kept in."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median_low
from typing import TypeVar

from benchmarks.comparison.databases import Counted
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.usage import Usage

RESULTS = Path(__file__).parents[1] / "results.json"

_MADE = (":(top,exclude)benchmarks/results.json", ":(top,exclude)docs/benchmarks.md")
_Figures = TypeVar("_Figures", Counted, Usage)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One stage of one implementation at one size: one run, or the medians of several."""

    stage: str
    implementation: str
    size: Size
    counted: Counted
    usage: Usage
    runs: int = 1

    @property
    def at_once(self) -> float:
        """How many processors were busy on average: 1 means that nothing ran at the same time."""
        used = self.usage.cpu_s + self.usage.server_cpu_s + self.counted.postgres_cpu_s
        return used / self.usage.wall_s if self.usage.wall_s else 0.0

    def as_json(self) -> dict[str, object]:
        """An object of `results.json`; `requests` are those of each company."""
        return {
            "stage": self.stage,
            "implementation": self.implementation,
            **asdict(self.size),
            "statements": self.counted.statements,
            "rows": self.counted.rows,
            **asdict(self.usage),
            "postgres_cpu_s": self.counted.postgres_cpu_s,
            "runs": self.runs,
        }


def medians(measured: Sequence[Measurement]) -> list[Measurement]:
    """One measurement for all of the same stage, implementation and size.

    Each figure is a median of its own; of an even number it is the lower of the two in the middle.
    """
    same: dict[tuple[str, str, Size], list[Measurement]] = {}
    for one in measured:
        same.setdefault((one.stage, one.implementation, one.size), []).append(one)
    return [
        Measurement(
            stage,
            implementation,
            size,
            _median([one.counted for one in them]),
            _median([one.usage for one in them]),
            runs=len(them),
        )
        for (stage, implementation, size), them in same.items()
    ]


def commit_of(folder: Path) -> str:
    """The commit whose files are in a clone, and whether they were changed since.

    The files that a benchmark writes do not count.
    """
    commit = _git(folder, "rev-parse", "--short", "HEAD")
    if commit is None:
        return "unknown"
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *_MADE)
    return f"{commit}, with changes" if changed else commit


def write_results(measured: Sequence[Measurement], path: Path, commit: str) -> None:
    """Replace the file's content; each figure is with the commit that it is of."""
    objects = [json.dumps(one.as_json() | {"commit": commit}) for one in measured]
    path.write_text("[\n  " + ",\n  ".join(objects) + "\n]\n", encoding="utf-8")


def _median(of: Sequence[_Figures]) -> _Figures:
    figures = {
        field.name: median_low(getattr(one, field.name) for one in of) for field in fields(of[0])
    }
    return type(of[0])(**figures)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        ended = subprocess.run(  # noqa: S603
            ["git", "-C", folder, *arguments],  # noqa: S607 (whichever git made the clone)
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return None if ended.returncode else ended.stdout.strip()

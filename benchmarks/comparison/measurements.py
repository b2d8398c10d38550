"""What was measured, and the file that it is kept in."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.comparison.databases import Counted
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.usage import Usage

RESULTS = Path(__file__).parents[1] / "results.json"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One stage of one implementation at one size."""

    stage: str
    implementation: str
    size: Size
    counted: Counted
    usage: Usage

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
        }


def write_results(measured: Sequence[Measurement], path: Path) -> None:
    """Replace the file's content."""
    objects = [json.dumps(measurement.as_json()) for measurement in measured]
    path.write_text("[\n  " + ",\n  ".join(objects) + "\n]\n", encoding="utf-8")

"""What people read of a drill, in eighty columns."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from drills.judging import Verdict

Show = Callable[[str], None]
_WIDTHS = {"plays": 6, "runs": 6, "kills": 6, "missed": 7, "asked": 7, "lost": 6, "twice": 6}
_WIDTHS |= {"two": 6, "stuck": 6, "unknown": 8}


@dataclass
class Report:
    """Adds verdicts up."""

    show: Show
    verdicts: list[Verdict] = field(default_factory=list)
    killed_at: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        """Count a verdict, and say at once what is wrong with it."""
        self.verdicts.append(verdict)
        self.killed_at.update(verdict.kills)
        if not verdict.is_clean:
            self.show(f"NOT CLEAN: {verdict.story}")
            for line in [*verdict.details[:10], *verdict.errors[:3]]:
                self.show(f"    {line}")
            self.show(f"  again: make drill N=1 STORY='{verdict.told}'")

    @property
    def is_clean(self) -> bool:
        """Whether every schedule ended as it has to."""
        return all(verdict.is_clean for verdict in self.verdicts)

    def progress(self, seconds: float) -> str:
        """Where the drill stands."""
        wrong = sum(not verdict.is_clean for verdict in self.verdicts)
        kills = self.killed_at.total()
        return f"{seconds:5.0f} s: {len(self.verdicts)} schedules, {kills} kills, {wrong} not clean"

    def table(self) -> list[str]:
        """A line a kind, and one for all."""
        kinds = sorted({verdict.kind for verdict in self.verdicts})
        lines = [_cells("kind", list(_WIDTHS))]
        of_kinds = [
            _line(kind, [one for one in self.verdicts if one.kind == kind]) for kind in kinds
        ]
        return [*lines, *of_kinds, _line("all", self.verdicts)]

    def times(self) -> list[str]:
        """A line a kind: how long its schedules took."""
        kinds = [*sorted({verdict.kind for verdict in self.verdicts}), "all"]
        columns = ("plays", "launched", "s a play", "at most", "CPU s a play")
        return [
            f"{'kind':<14}" + "".join(f"{name:>13}" for name in columns),
            *(
                _times(kind, [one for one in self.verdicts if kind in {one.kind, "all"}])
                for kind in kinds
            ),
        ]

    def neighbour(self) -> str:
        """What LiveDash has bought beside the runs, which none of the figures counts."""
        theirs = sum(one.bought_by_livedash for one in self.verdicts)
        both = sum(one.bought_by_both for one in self.verdicts)
        return f"bought by LiveDash itself: {theirs}, and by us as well: {both}"

    def points(self, names: Iterable[str]) -> list[str]:
        """Each named point with how often a run was killed there."""
        known = sorted({*names, *self.killed_at})
        return [f"  {name:<60} {self.killed_at[name]:>6}" for name in known]

    def last_line(self) -> str:
        """The figures that decide."""
        total = {
            "schedules": len(self.verdicts),
            "kills": self.killed_at.total(),
            **{
                name: sum(getattr(one, name) for one in self.verdicts)
                for name in ("requests", "lost", "billed_twice", "stuck")
            },
        }
        return " ".join(f"{name}={value}" for name, value in total.items())


def _line(kind: str, verdicts: Sequence[Verdict]) -> str:
    figures = (
        len(verdicts),
        sum(one.runs for one in verdicts),
        sum(len(one.kills) for one in verdicts),
        sum(one.missed for one in verdicts),
        sum(one.requests for one in verdicts),
        sum(one.lost for one in verdicts),
        sum(one.billed_twice for one in verdicts),
        sum(one.in_two_buckets for one in verdicts),
        sum(one.stuck for one in verdicts),
        sum(one.unknown for one in verdicts),
    )
    return _cells(kind, figures)


def _cells(kind: str, cells: Sequence[object]) -> str:
    widths = _WIDTHS.values()
    return f"{kind:<14}" + "".join(f"{cell!s:>{w}}" for cell, w in zip(cells, widths, strict=True))


def _times(kind: str, verdicts: Sequence[Verdict]) -> str:
    seconds = [one.seconds for one in verdicts] or [0.0]
    cpu_seconds = sum(one.cpu_seconds for one in verdicts)
    launched = sum(one.launched_runs > 0 for one in verdicts)
    plays = max(len(verdicts), 1)
    figures = (sum(seconds) / plays, max(seconds), cpu_seconds / plays)
    counts = f"{kind:<14}{len(verdicts):>13}{launched:>13}"
    return counts + "".join(f"{figure:>13.2f}" for figure in figures)

"""The page that people open first: whether all is well and what to do if not, money, who waits.

It is Markdown in the metadata of an asset, made anew by every run. The UI shows an entry at once
that has fewer than a thousand characters, and hides a longer one behind a link.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Any, Final
from urllib.parse import quote

import dagster as dg

from batch_assets.domain.alerts.records import Verdict
from batch_assets.domain.display import euros, listed, plain, plural, unlinked
from batch_assets.domain.health import (
    NOT_SCHEDULED,
    Finding,
    Hold,
    health_while_raised,
    worst,
    worst_first,
)
from batch_assets.domain.report_data import PeriodMoney
from batch_assets.ops.failures import by_sentence

OVERVIEW: Final = "overview"
"""The asset's name."""

_LINKS: Final = {
    "What waits": "/assets/backlog",
    "What it costs": "/assets/money",
    "What went wrong": "/assets/reliability",
    "Runs": "/runs",
}
_WIDTH, _HEIGHT, _GAP = 10, 60, 3
"""Of a day's bar, so that a month fits into the column that the UI has for it."""
_MOST_CHARACTERS: Final = 850
_LONGEST_LINE: Final = 300
_ADDRESS: Final = "data:image/svg+xml,"
_AS_IT_IS: Final = "',=:/."
"""What need not be escaped in that address, and would make it longer."""
_COLOURS: Final = {"spent": "#2563a8", "saved": "#b9d3ee", "axis": "#9aa3ad"}


@dataclass(frozen=True, slots=True)
class Overview:
    """What is known at the end of a run."""

    failures: Mapping[str, str]
    """The sentence of each op that has failed."""
    verdicts: Sequence[Verdict]
    behind: Sequence[str]
    """The companies whose oldest request has waited longest, with how long."""
    days: Mapping[date, PeriodMoney]
    """Those of the month on which something was sent."""
    today: date
    hold: Hold | None = None
    """Why nothing may be submitted."""
    is_scheduled: bool = True
    """Whether runs start by themselves."""
    run_id: str = ""
    ui_url: str = ""
    """Where the UI is; empty: links are of the host that shows the page."""

    @property
    def findings(self) -> list[Finding]:
        """What is wrong, the worst first."""
        failed = [
            Finding.not_well(ops[0], f"Failed: {listed(ops)}. {said}", self._logs)
            for said, ops in by_sentence(self.failures).items()
        ]
        hold = [] if self.hold is None else [self.hold.finding]
        unscheduled = [] if self.is_scheduled else [NOT_SCHEDULED]
        raised = [
            Finding(
                one.name,
                health_while_raised(one.severity),
                " ".join([f"{one.name}: {one.summary}", *one.faults]),
                one.advice,
            )
            for one in self.verdicts
            if one.is_raised
        ]
        return worst_first([*failed, *hold, *raised, *unscheduled])

    @property
    def _logs(self) -> str:
        return f"`batch-assets logs {self.run_id}` has all that the run has said."

    @property
    def month(self) -> PeriodMoney:
        """What all of the month's days come to."""
        return PeriodMoney.in_all(self.days.values())

    def entries(self) -> dict[str, Any]:
        """The asset's metadata: what the page shows, and what can be plotted of it."""
        findings = self.findings
        verdict, further = _verdict(findings)
        shown = {
            "overview": verdict,
            **({"further": further} if further else {}),
            "money": self._money(),
            "days": self._chart(),
            "waiting": self._waiting(),
            "links": [
                " · ".join(f"[{name}]({self.ui_url}{path})" for name, path in _LINKS.items())
            ],
        }
        return {
            **{name: dg.MetadataValue.md("\n".join(lines)) for name, lines in shown.items()},
            "health": worst(findings),
            "findings": len(findings),
            "month_spent_eur": self.month.spent_eur,
            "month_saved_eur": self.month.saved_eur,
        }

    def _money(self) -> list[str]:
        lines = ["| UTC | spent, EUR | saved | wasted |", "|---|---:|---:|---:|"]
        today = self.days.get(self.today, PeriodMoney.in_all(()))
        for when, money in (("Today", today), ("This month", self.month)):
            amounts = (money.spent_eur, money.saved_eur, money.wasted_eur)
            cells = " | ".join(euros(amount) for amount in amounts)
            lines.append(f"| {when}{money.beside} | {cells} |")
        return lines

    def _waiting(self) -> list[str]:
        if not self.behind:
            return ["Nothing waits."]
        # No name begins a line, where it could be a heading or a number in a list.
        return [
            "The oldest requests wait",
            "",
            *(_cut(f"- for {plain(one)}") for one in self.behind),
        ]

    def _chart(self) -> list[str]:
        """A bar for each day of the month up to today: what it has cost, and above what it saved.

        An image in so few characters that the UI shows it at once.
        """
        if not self.days:
            return ["Nothing was sent this month."]
        most = max(one.spent_eur + max(one.saved_eur, 0) for one in self.days.values()) or 1.0
        bars: dict[str, list[str]] = {"spent": [], "saved": []}
        for day, money in sorted(self.days.items()):
            across = (day.day - 1) * (_WIDTH + _GAP) + _WIDTH // 2
            top = _HEIGHT - round(_HEIGHT * money.spent_eur / most)
            highest = top - round(_HEIGHT * max(money.saved_eur, 0) / most)
            bars["spent"].append(f"M{across},{_HEIGHT}V{top}")
            bars["saved"].append(f"M{across},{top}V{highest}")
        width = self.today.day * (_WIDTH + _GAP)
        paths = [
            f"<path stroke-width='{_WIDTH}' stroke='{_COLOURS[name]}' d='{''.join(some)}'/>"
            for name, some in bars.items()
        ]
        axis = f"<path stroke='{_COLOURS['axis']}' d='M0,{_HEIGHT}.5H{width}'/>"
        size = f"width='{width}' height='{_HEIGHT + 1}'"
        svg = f"<svg xmlns='http://www.w3.org/2000/svg' {size}>{axis}{''.join(paths)}</svg>"
        return [
            f"![What each day of the month has cost and saved]({_ADDRESS}{quote(svg, _AS_IT_IS)})"
        ]


def _verdict(findings: Sequence[Finding]) -> tuple[list[str], list[str]]:
    """The verdict with as many findings as the UI shows at once, and those that come after them."""
    number = f": {plural(len(findings), 'thing')} to look at" if findings else ""
    heading = f"## {str(worst(findings)).capitalize()}{number}"
    lines = [_line(one) for one in findings]
    first = _fitting(lines, len(heading))
    second = first + _fitting(lines[first:])
    left = len(lines) - second
    more = [f"- and {left} more: `batch-assets status` has all."] if left else []
    return [heading, "", *lines[:first]], [*lines[first:second], *more]


def _line(one: Finding) -> str:
    todo = f" *To do:* {unlinked(one.remedy)}" if one.remedy else ""
    return _cut(f"- {plain(one.said)}") + todo


def _fitting(lines: Sequence[str], characters: int = 0) -> int:
    """How many of the lines an entry has room for, beside so many characters."""
    filled = accumulate((len(line) + 1 for line in lines), initial=characters)
    return sum(total <= _MOST_CHARACTERS for total in filled) - 1


def _cut(line: str) -> str:
    """As much of a line as leaves room for others."""
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"

"""The page that people open first: whether all is well and what to do if not, money, who waits.

It is Markdown in the metadata of an asset, made anew by every run, with a chart of the month's days
that is small enough to be drawn within it.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import dagster as dg

from batch_assets.domain.alerts.records import Severity, Verdict
from batch_assets.domain.display import euros, plain, plural, unlinked
from batch_assets.domain.health import Finding, Health, worst
from batch_assets.domain.report_data import PeriodMoney

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
    ui_url: str = ""
    """Where the UI is; empty: links are of the host that shows the page."""

    @property
    def findings(self) -> list[Finding]:
        """What is wrong, the worst first."""
        failed = [
            Finding.not_well(op, f"{op} has failed. {sentence}", "See what this run has logged.")
            for op, sentence in self.failures.items()
        ]
        raised = [
            Finding(
                one.name,
                Health.NOT_WELL if one.severity is Severity.ERROR else Health.ATTENTION,
                f"{one.name}: {one.summary}",
                one.advice,
            )
            for one in self.verdicts
            if one.is_raised
        ]
        order = list(Health)
        return sorted([*failed, *raised], key=lambda one: order.index(one.health), reverse=True)

    @property
    def month(self) -> PeriodMoney:
        """What all of the month's days come to."""
        return PeriodMoney.in_all(self.days.values())

    def entries(self) -> dict[str, Any]:
        """The asset's metadata: the page, and what can be plotted of it."""
        return {
            "overview": dg.MetadataValue.md("\n".join(self._lines())),
            "health": worst(self.findings),
            "findings": len(self.findings),
            "month_spent_eur": self.month.spent_eur,
            "month_saved_eur": self.month.saved_eur,
        }

    def _lines(self) -> Iterator[str]:
        findings = self.findings
        number = f": {plural(len(findings), 'thing')} to look at" if findings else ""
        yield f"## {str(worst(findings)).capitalize()}{number}\n"
        for one in findings:
            to_do = f" *To do:* {unlinked(one.remedy)}" if one.remedy else ""
            yield f"- {plain(one.said)}{to_do}"
        yield "\n| UTC | spent, EUR | saved | wasted |\n|---|---:|---:|---:|"
        today = self.days.get(self.today, PeriodMoney.in_all(()))
        for when, money in (("Today", today), ("This month", self.month)):
            amounts = (money.spent_eur, money.saved_eur, money.wasted_eur)
            cells = " | ".join(euros(amount) for amount in amounts)
            yield f"| {when}{money.beside} | {cells} |"
        if self.days:
            yield f"\n![Spent and saved on each day of the month]({self._chart()})"
        if self.behind:
            # No name begins a line, where it could be a heading or a number in a list.
            yield "\nThe oldest requests wait\n"
            yield from (f"- for {plain(one)}" for one in self.behind)
        else:
            yield "\nNothing waits."
        # One below the other: the UI cuts a line that is wider than its column.
        yield ""
        yield from (f"- [{name}]({self.ui_url}{path})" for name, path in _LINKS.items())

    def _chart(self) -> str:
        """A bar for each day of the month up to today, as the address of an image."""
        days = [self.today.replace(day=number + 1) for number in range(self.today.day)]
        most = max(one.spent_eur + one.saved_eur for one in self.days.values()) or 1.0
        bars = [bar for at, day in enumerate(days) for bar in self._bars(at, day, most)]
        width = len(days) * (_WIDTH + _GAP)
        axis = f'<path d="M0 {_HEIGHT}.5H{width}" stroke="{_COLOURS["axis"]}"/>'
        size = f'width="{width}" height="{_HEIGHT + 1}"'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{axis}{"".join(bars)}</svg>'
        return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"

    def _bars(self, at: int, day: date, most: float) -> Iterator[str]:
        money = self.days.get(day)
        if money is None:
            return
        bottom = float(_HEIGHT)
        for colour, amount in (
            (_COLOURS["spent"], money.spent_eur),
            (_COLOURS["saved"], max(money.saved_eur, 0.0)),
        ):
            height = _HEIGHT * amount / most
            bottom -= height
            yield (
                f'<rect x="{at * (_WIDTH + _GAP)}" y="{bottom:.1f}" width="{_WIDTH}" '
                f'height="{height:.1f}" fill="{colour}"/>'
            )

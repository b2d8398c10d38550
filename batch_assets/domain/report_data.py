"""What is reported beside a run's metrics: which companies are behind, and what the charts show.

The database adds it up, so that it stays small whatever there was.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from typing import Any, Final, Self

from batch_assets.domain.allowances import InUse
from batch_assets.domain.display import euros, plural
from batch_assets.domain.forecasts import Forecast
from batch_assets.domain.metrics import RunMetrics
from batch_assets.domain.records import Backlog


@dataclass(frozen=True, slots=True)
class CompanyBacklog:
    """What is still to be done for one company, and what it has cost since midnight UTC."""

    company_id: str
    company: str
    waiting_requests: int
    oldest_wait_seconds: float
    requests_in_batches: int
    retry_requests: int
    dead_letters: int
    day_cost_eur: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a run knows of what waits, before anything of it is counted again at its end.

    `sent_company_ids` are companies of which the run has sent something, or may have: they are
    counted again. The others are as they were counted.
    """

    others: Sequence[Backlog] = ()
    sent_company_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The metrics of a run as they were recorded."""

    metrics: RunMetrics
    companies: Sequence[CompanyBacklog]
    """Those that are furthest behind, the one whose oldest request has waited longest first."""
    in_use: InUse
    """What counts against the account's allowances."""


_WASTED: Final = (
    *("unusable_eur", "discarded_eur", "unattributed_eur", "duplicates_eur", "abandoned_eur"),
)


@dataclass(frozen=True, slots=True)
class PeriodMoney:
    """What a UTC day, or a month of such days, has cost so far: what was sent in it."""

    spent_eur: float
    """All that was billed, as far as it is known."""
    saved_eur: float
    """What synchronous requests would have cost more."""
    wasted_eur: float
    """Of what was spent: what brought no answer of use."""
    open_batches: int
    """Their cost is to come."""
    unpriced_answers: int
    """Answers whose cost is not known, and in none of these."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Add up the costs of some days."""
        sums: Counter[str] = Counter()
        for row in rows:
            known = {name: one or 0 for name, one in row.items() if isinstance(one, int | float)}
            sums.update(known)
        return cls(
            spent_eur=float(sums["billed_eur"]),
            saved_eur=float(sums["saved_eur"]),
            wasted_eur=float(sum(sums[name] for name in _WASTED)),
            open_batches=sums["open_batches"],
            unpriced_answers=sums["unpriced_answers"],
        )

    @classmethod
    def in_all(cls, periods: Iterable[Self]) -> Self:
        """The sums of some of them."""
        each = [astuple(one) for one in periods]
        return cls(*map(sum, zip(*each, strict=True))) if each else cls(0.0, 0.0, 0.0, 0, 0)

    def sentence(self, when: str) -> str:
        """What it comes to."""
        return (
            f"{when} (UTC): {euros(self.spent_eur)} EUR spent{self.beside}, "
            f"{euros(self.saved_eur)} saved, {euros(self.wasted_eur)} wasted."
        )

    @property
    def beside(self) -> str:
        """What is not in what was spent, in brackets; empty if all is."""
        missing = list(self._missing())
        return f" (and the cost {' and '.join(missing)})" if missing else ""

    def _missing(self) -> Iterator[str]:
        if self.open_batches:
            yield f"of {plural(self.open_batches, 'open batch', 'open batches')} to come"
        if self.unpriced_answers:
            yield f"of {plural(self.unpriced_answers, 'answer')} not known"


@dataclass(frozen=True, slots=True)
class TurnaroundStep:
    """Batches that took from `from_seconds` up to `to_seconds`."""

    from_seconds: float
    to_seconds: float
    batches: int


@dataclass(frozen=True, slots=True)
class TurnaroundReport:
    """How long batches took on the server; the percentiles are of `batches`, or `None`."""

    steps: Sequence[TurnaroundStep]
    """Only those with batches, the shortest first."""
    p50_seconds: float | None = None
    p90_seconds: float | None = None
    p99_seconds: float | None = None

    @property
    def batches(self) -> int:
        """All of them."""
        return sum(step.batches for step in self.steps)


@dataclass(frozen=True, slots=True)
class DayCost:
    """What a company's batches of one day, or all smaller ones' together, have cost."""

    day: date
    company: str | None
    """`None` for those that are not among the companies that cost most."""
    cost_eur: float
    synchronous_cost_eur: float
    unpriced: int = 0
    """Answers whose cost is not known, and not in these."""
    saved_eur: float = 0.0
    """What the answers that could be used have cost less than synchronous requests."""


@dataclass(frozen=True, slots=True)
class CostReport:
    """What each day has cost, by company."""

    days: Sequence[DayCost]

    @property
    def cost_eur(self) -> float:
        """In all."""
        return sum(day.cost_eur for day in self.days)

    @property
    def synchronous_cost_eur(self) -> float:
        """What synchronous requests would have cost, in all."""
        return sum(day.synchronous_cost_eur for day in self.days)

    @property
    def saved_eur(self) -> float:
        """What the answers that could be used have cost less, in all."""
        return sum(day.saved_eur for day in self.days)

    @property
    def unpriced(self) -> int:
        """Answers whose cost is in neither, in all."""
        return sum(day.unpriced for day in self.days)


@dataclass(frozen=True, slots=True)
class CostOutlook:
    """What the UTC day and month will cost for a company, and the day's parts."""

    company: str
    day_eur: float
    month_eur: float
    spent_eur: float
    """Of the day, as the others below."""
    in_flight_eur: float
    waiting_eur: float
    to_come_eur: float

    @classmethod
    def of(cls, forecast: Forecast) -> "CostOutlook":
        """The same of a forecast, to a hundredth of a cent."""
        day = forecast.day
        sums = (day.spent_eur, day.in_flight_eur, day.waiting_eur, day.to_come_eur)
        totals = (day.total_eur, forecast.month.total_eur)
        return cls(forecast.company, *(round(one, 4) for one in (*totals, *sums)))


@dataclass(frozen=True, slots=True)
class TurnaroundOutlook:
    """When what is in flight and what waits for a company will be done, in seconds from now."""

    company: str
    in_flight: int
    """Requests."""
    p50_seconds: float | None
    p90_seconds: float | None
    waiting: int
    """Requests."""
    waiting_p90_seconds: float | None

    @classmethod
    def of(cls, forecast: Forecast) -> "TurnaroundOutlook":
        """The same of a forecast, to a tenth of a second."""
        flight, waits = forecast.in_flight, forecast.waiting
        return cls(
            forecast.company,
            flight.requests,
            _rounded(flight.p50_seconds),
            _rounded(flight.p90_seconds),
            waits.requests,
            _rounded(waits.p90_seconds),
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


@dataclass(frozen=True, slots=True)
class OperationPace:
    """Seconds a call of one operation; `None` where an implementation was not measured."""

    operation: str
    original_seconds: float | None
    optimized_seconds: float | None

    @property
    def has_both(self) -> bool:
        """Whether the two can be compared."""
        return self.original_seconds is not None and self.optimized_seconds is not None

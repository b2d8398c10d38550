"""Budgets: what a company, or all of them together, may spend in a UTC day or calendar month.

Pure. Who may spend how much is kept in the database, which also says how much of it is spent; here
is what follows from that: until when a budget holds, what is left of it for one company, and the
words for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from batch_assets.domain.display import euros

ALL_COMPANIES: Final = ""
"""In the place of a company's id: the budget is for all of them together."""

WARNED_PERCENT: Final = 80.0
"""From here on a budget is warned about."""

_HELD: Final = "budget of "
_EVERYBODY: Final = "all companies"


class Period(StrEnum):
    """What a budget is for; it begins anew with each."""

    DAY = "day"
    """A UTC day."""
    MONTH = "month"
    """A calendar month in UTC."""

    def begins(self, today: date) -> date:
        """The first day of the period that a day is in."""
        return today if self is Period.DAY else today.replace(day=1)

    def begins_anew(self, today: date) -> date:
        """The first day of the period after that."""
        if self is Period.DAY:
            return today + timedelta(days=1)
        return (today.replace(day=1) + timedelta(days=31)).replace(day=1)

    def named(self, today: date) -> str:
        """The period that a day is in: `2026-11-30`, `November 2026`."""
        return today.isoformat() if self is Period.DAY else f"{today:%B %Y}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent for one company, or for all of them, in each period."""

    company_id: str
    """`ALL_COMPANIES` for all of them together."""
    period: Period
    amount_eur: float


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget, who has set it, and how much of its present period is spent."""

    company_id: str
    """`ALL_COMPANIES` for all of them together."""
    company: str | None
    """The name; `None` for all of them, and for one that LiveDash has deleted."""
    period: Period
    amount_eur: float
    spent_eur: float
    """What was submitted in the period has cost, and what of it is still open is estimated at."""
    today: date
    """The UTC day on which this was looked at."""
    set_by: str
    set_at: datetime
    shares_name: bool = False
    """Whether another company has the same name, so that the id has to be said beside it."""

    @property
    def is_of_all(self) -> bool:
        """Whether it is for all companies together."""
        return self.company_id == ALL_COMPANIES

    @property
    def whose(self) -> str:
        """Whom it is for."""
        if self.is_of_all:
            return _EVERYBODY
        if self.company is None:
            return f"{self.company_id} (deleted)"
        if self.shares_name or self.company == _EVERYBODY:
            return f"{self.company} ({self.company_id})"
        return self.company or self.company_id

    @property
    def of_when(self) -> str:
        """The period that it is spent in now."""
        return self.period.named(self.today)

    @property
    def begins_anew(self) -> date:
        """The UTC day with which all of it is there again."""
        return self.period.begins_anew(self.today)

    @property
    def left_eur(self) -> float:
        """What may still be spent."""
        return max(self.amount_eur - self.spent_eur, 0.0)

    @property
    def percent(self) -> float:
        """How much of it is spent; more than 100 if it was made less, or more was billed."""
        if self.amount_eur:
            return 100 * self.spent_eur / self.amount_eur
        return 100.0

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.percent >= 100

    @property
    def is_of_nothing(self) -> bool:
        """Whether it lets nothing through in any period."""
        return self.amount_eur <= 0

    @property
    def held_reason(self) -> str:
        """With which reason requests wait that would go beyond what is left of it."""
        if self.is_of_nothing:
            return f"{_HELD}{self.whose} is 0: nothing goes on before `batch-assets budget set`"
        return (
            f"{_HELD}{self.whose} for {self.of_when} has too little left: goes on "
            f"{self.begins_anew} (UTC) or after `batch-assets budget set`"
        )

    @property
    def too_small_reason(self) -> str:
        """With which reason requests wait that are estimated at more than the whole of it."""
        return (
            f"{_HELD}{self.whose} for a whole {self.period} is less than one such request is "
            "estimated at: it never fits, unless `batch-assets budget set` makes it more"
        )

    @property
    def sentence(self) -> str:
        """How much is spent, for people; from `WARNED_PERCENT` on also what follows from it."""
        said = (
            f"{_HELD.capitalize()}{self.whose} for {self.of_when}: {euros(self.spent_eur)} of "
            f"{euros(self.amount_eur)} EUR spent ({self.percent:.0f} %)"
        )
        if self.percent < WARNED_PERCENT:
            return f"{said}."
        if self.is_of_nothing:
            return f"{said}; nothing is sent before `batch-assets budget set`."
        return (
            f"{said}; what costs more than the {euros(self.left_eur)} EUR left waits until "
            f"{self.begins_anew} (UTC) or for `batch-assets budget set`."
        )


@dataclass(slots=True)
class BudgetLeft:
    """What packing may still take of one budget."""

    use: BudgetUse
    left_eur: float

    @property
    def is_of_all(self) -> bool:
        """Whether it is for all companies together."""
        return self.use.is_of_all

    @property
    def held_reason(self) -> str:
        """With which reason requests wait that would go beyond what is left."""
        return self.use.held_reason

    def never_fits(self, cost_eur: float) -> bool:
        """Whether a request costs more than the whole of it."""
        return 0 < self.use.amount_eur < cost_eur


def is_beyond(left_eur: float, cost_eur: float) -> bool:
    """Whether a cost goes beyond what is left; where that is nothing, so does what is free."""
    return left_eur <= 0 or left_eur < cost_eur


class Budgets:
    """All budgets at one moment, with what was packed since counted in."""

    def __init__(self, uses: Iterable[BudgetUse]) -> None:
        # Those that hold longest come first, and of these the widest: they are the reason said.
        self._uses = sorted(
            uses, key=lambda use: (use.period is Period.MONTH, use.is_of_all), reverse=True
        )
        self._packed: dict[str, float] = {}
        self._packed_in_all = 0.0

    def take(self, company_id: str, cost_eur: float) -> None:
        """Count what is about to be claimed for a company."""
        self._packed[company_id] = self._packed.get(company_id, 0.0) + cost_eur
        self._packed_in_all += cost_eur

    def left_for(self, company_id: str) -> list[BudgetLeft]:
        """What is left of each budget that bounds what is sent for a company."""
        packed = {
            ALL_COMPANIES: self._packed_in_all,
            company_id: self._packed.get(company_id, 0.0),
        }
        return [
            BudgetLeft(use, use.amount_eur - use.spent_eur - packed[use.company_id])
            for use in self._uses
            if use.company_id in packed
        ]


def read_budgets(rows: Sequence[Mapping[str, Any]]) -> list[BudgetUse]:
    """Read budgets as the database's JSON has them."""
    return [
        BudgetUse(
            **{
                **row,
                "period": Period(row["period"]),
                "today": date.fromisoformat(row["today"]),
                "set_at": datetime.fromisoformat(row["set_at"]).astimezone(UTC),
            }
        )
        for row in rows
    ]


def held_by_budgets(held: Mapping[str, int]) -> int:
    """How many of the requests that are held are so by a budget; `held` is by reason."""
    return sum(requests for reason, requests in held.items() if reason.startswith(_HELD))

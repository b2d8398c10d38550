"""How much of what waits caps and budgets let through in a period; until when they hold the rest.

Pure. It goes by what single requests are foreseen to cost, and takes what waits longest first, as
claims do; which requests these let through in the end is decided by a claim alone.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from batch_assets.domain.budgets import ALL_COMPANIES, BudgetUse, Period, is_beyond
from batch_assets.domain.packing import BEYOND_A_WHOLE_CAP, CAP_ON_COST, CAP_ON_REQUESTS
from batch_assets.domain.policy import Caps

_UNPRICED: Final = "no model without a price is sent while costs are limited"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why some requests are not sent."""

    reason: str
    until: date | None
    """The UTC day on which it ends; `None`: it does not end by itself."""


@dataclass(slots=True)
class Limit:
    """What may still be sent under one cap or budget, with what was counted in since."""

    hold: Hold
    requests: float = math.inf
    eur: float = math.inf
    whole_eur: float = math.inf
    """All of it: what costs more never fits."""
    too_dear: str = BEYOND_A_WHOLE_CAP

    def fits(self, requests: int, each_eur: float | None) -> tuple[int, Hold]:
        """How many requests of this cost fit in, and why no more."""
        most = max(math.floor(min(self.requests, requests)), 0)
        if math.isinf(self.eur) and math.isinf(self.whole_eur):
            return most, self.hold
        if each_eur is None:
            return 0, Hold(_UNPRICED, None)
        if 0 < self.whole_eur < each_eur:
            return 0, Hold(self.too_dear, None)
        if is_beyond(self.eur, each_eur):
            return 0, self.hold
        return most if each_eur <= 0 else math.floor(min(most, self.eur / each_eur)), self.hold

    def take(self, requests: int, eur: float) -> None:
        """Count what is sent."""
        self.requests -= requests
        self.eur -= eur


class Room:
    """What may still be sent of everybody in a period."""

    def __init__(self, limits: Iterable[tuple[str, Limit]]) -> None:
        """Each limit with the company that it is for, or `ALL_COMPANIES`."""
        self._limits = list(limits)

    def take(
        self, company_id: str, requests: int, each_eur: float | None
    ) -> tuple[int, Hold | None]:
        """Count in as many of a company's requests as fit: how many, and what holds the others."""
        limits = [one for whose, one in self._limits if whose in (company_id, ALL_COMPANIES)]
        fit, hold = requests, None
        for limit in limits:
            most, why = limit.fits(requests, each_eur)
            if most < fit:
                fit, hold = most, why
        for limit in limits:
            limit.take(fit, fit * (each_eur or 0.0))
        return fit, hold

    def left_eur(self, whose: str) -> float:
        """What may still be spent by the limits that are for a company alone, or for all."""
        limits = [one for company_id, one in self._limits if company_id == whose]
        if any(one.requests < 1 for one in limits):
            return 0.0
        return max(min((one.eur for one in limits), default=math.inf), 0.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps and budgets as they stand, and what else keeps everything from being sent."""

    caps: Caps
    budgets: Iterable[BudgetUse] = ()
    used_today: Mapping[str, tuple[float, float]] | None = None
    """Requests and EUR that count against the day's caps, by company."""
    held_because: str | None = None
    """Why nothing at all is sent until a person has done something."""

    def room(self, company_ids: Iterable[str], today: date, period: Period) -> Room:
        """What may be sent in the rest of a period; for a month each of its days counts."""
        days = 0 if period is Period.DAY else (Period.MONTH.begins_anew(today) - today).days - 1
        tomorrow = today + timedelta(days=1)
        used = self.used_today or {}
        in_all = (sum(one for one, _ in used.values()), sum(one for _, one in used.values()))
        caps = self.caps
        limits = [
            (ALL_COMPANIES, one)
            for one in _capped(caps.day_requests, caps.day_cost_eur, in_all, days, tomorrow)
        ]
        for company_id in company_ids:
            own = used.get(company_id, (0.0, 0.0))
            of_company = (caps.company_day_requests, caps.company_day_cost_eur)
            limits += [(company_id, one) for one in _capped(*of_company, own, days, tomorrow)]
        if caps.run_cost_eur is not None:
            never = Limit(Hold(CAP_ON_COST, None), whole_eur=caps.run_cost_eur)
            limits.append((ALL_COMPANIES, never))
        limits += [(use.company_id, _of_budget(use, days)) for use in self.budgets]
        if self.held_because is not None:
            limits.append((ALL_COMPANIES, Limit(Hold(self.held_because, None), requests=0, eur=0)))
        return Room(limits)


def _capped(
    requests: int | None,
    eur: float | None,
    used: tuple[float, float],
    days: int,
    tomorrow: date,
) -> Iterable[Limit]:
    """The day's caps, if there are any, over today and so many days after it."""
    if requests is not None:
        hold = Hold(f"{CAP_ON_REQUESTS}: goes on {tomorrow} (UTC)", tomorrow)
        yield Limit(hold, requests=requests * (days + 1) - used[0])
    if eur is not None:
        hold = Hold(f"{CAP_ON_COST}: goes on {tomorrow} (UTC)", tomorrow)
        yield Limit(hold, eur=eur * (days + 1) - used[1], whole_eur=eur)


def _of_budget(use: BudgetUse, days: int) -> Limit:
    """A budget as it stands; one for days over so many days after today, too."""
    more = use.amount_eur * days if use.period is Period.DAY else 0.0
    return Limit(
        Hold(use.held_reason, None if use.is_of_nothing else use.begins_anew),
        eur=use.amount_eur - use.spent_eur + more,
        whole_eur=use.amount_eur,
        too_dear=use.too_small_reason,
    )

"""What is coming: when what waits and what is in flight will be done, and what it will cost.

A pure function of what the database shows. Each sum of money has four parts that do not overlap:
what was spent, what is in flight, what waits, and what usually still comes beyond that, by the same
days of the weeks before. Days are UTC; a batch belongs to the day on which it was claimed.
"""

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from datetime import date, timedelta
from typing import Final

from batch_assets.domain.budgets import ALL_COMPANIES, BudgetUse, Period
from batch_assets.domain.due_rule import DueRule
from batch_assets.domain.policy import Caps
from batch_assets.domain.records import Backlog
from batch_assets.domain.room import Hold, Limits, Room
from batch_assets.domain.turnarounds import (
    AT_ONCE,
    Basis,
    PastBatch,
    Turnaround,
    TurnaroundHistory,
    all_done,
)

LEAST_SETTLED: Final = 200
"""So many requests must have been read for what one costs on average to mean anything."""
WEEKS_BACK: Final = 4
LEAST_DAYS: Final = 2
"""So many days of the same name must be known for them to say what is usual."""
_WIDTHS: Final = {basis: width for width, basis in enumerate(Basis)}


@dataclass(frozen=True, slots=True)
class SettledRequests:
    """Requests of a company and a model that were read, and what they were billed at."""

    company_id: str
    model: str
    requests: int
    cost_eur: float


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that is not finished."""

    company_id: str
    model: str | None
    size: int
    """All of its requests."""
    requests: int
    """Those of them that have no outcome yet."""
    is_running: bool
    """False: it has ended and is only to be read."""
    age_seconds: float
    """Since it was submitted; 0 of one that is yet to be."""
    days_old: int
    """How many UTC days ago it was claimed."""
    cost_eur: float
    """Of what was read of it."""
    estimate_eur: float | None
    """Of the others, as it was claimed; `None`: nobody knows the price."""


@dataclass(frozen=True, slots=True)
class WaitingRequests:
    """Requests of an active company and one model that wait to be sent."""

    company_id: str
    model: str
    requests: int
    oldest_wait_seconds: float
    estimate_eur: float | None = None
    """As a claim would estimate them, where nobody knows what such requests have cost."""


@dataclass(frozen=True, slots=True)
class DayMoney:
    """What the batches of a company have cost that were claimed on a day."""

    company_id: str
    day: date
    cost_eur: float
    """Of those that are finished."""
    later_eur: float
    """Of those that were claimed after the time of day that it is now, the open ones included."""


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a forecast is made of, as the database shows it at one moment."""

    today: date
    first_day: date | None
    """That of the first batch of all; `None` before it."""
    batches: Sequence[PastBatch] = ()
    settled: Sequence[SettledRequests] = ()
    open: Sequence[OpenBatch] = ()
    waiting: Sequence[WaitingRequests] = ()
    days: Sequence[DayMoney] = ()
    """Of the last four weeks, and of this month."""
    companies: Mapping[str, str] = field(default_factory=dict)
    """Names by id."""
    budgets: Sequence[BudgetUse] = ()
    used_today: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Requests and EUR that count against the day's caps, by company."""


@dataclass(frozen=True, slots=True)
class WorkForecast:
    """What will become of some requests. Seconds are from now; `None`: there are none."""

    requests: int
    cost_eur: float
    """Without those of which it is not known."""
    unpriced: int
    """Requests of which it is not known what they will cost."""
    p50_seconds: float | None
    """Half of them are done by then, without those that are held."""
    p90_seconds: float | None
    """Nine of ten are."""
    basis: Basis | None
    """The widest likeness that any of this was told by."""
    basis_batches: int
    """How many batches there were of that."""
    held: int = 0
    """Requests that caps, budgets or a person hold: nobody knows when they are done."""
    held_because: str | None = None
    """What holds most of them."""
    held_until: date | None = None
    """The UTC day on which that ends; `None`: it does not end by itself, or none is held."""


@dataclass(frozen=True, slots=True)
class MoneyForecast:
    """What a UTC day or month will cost; the parts do not overlap."""

    spent_eur: float
    """By batches that are finished."""
    in_flight_eur: float
    """By those that are not, what is read of them included."""
    waiting_eur: float
    """Of what waits, that which caps and budgets let through in it."""
    to_come_eur: float
    """What usually still comes, beyond what waits already, as far as these let it through."""

    @property
    def total_eur(self) -> float:
        """All four."""
        return self.spent_eur + self.in_flight_eur + self.waiting_eur + self.to_come_eur


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is coming for one company, or for all together."""

    company_id: str
    company: str
    in_flight: WorkForecast
    waiting: WorkForecast
    """As if it were sent once it is due."""
    day: MoneyForecast
    month: MoneyForecast


@dataclass(frozen=True, slots=True)
class Forecasts:
    """What is coming in all, and for each company that anything is known of, dearest first."""

    in_all: Forecast
    companies: Sequence[Forecast]
    usual_days: int
    """How many whole days before tell what is usual, four weeks at most; 0: it is not known."""


@dataclass(frozen=True, slots=True)
class SendingRule:
    """When what waits is sent, and in batches of how many requests at most."""

    due: DueRule
    max_batch_requests: int
    window_seconds: float
    """The completion window that batches are asked to be done in."""
    caps: Caps = field(default_factory=Caps)
    held_because: str | None = None
    """Why nothing at all is sent until a person has done something."""


class RequestCosts:
    """What a request costs on average: of its company and model, else of its model."""

    def __init__(self, settled: Iterable[SettledRequests]) -> None:
        self._sums: defaultdict[tuple[str | None, str | None], list[float]]
        self._sums = defaultdict(lambda: [0.0, 0.0])
        for one in settled:
            for of in ((one.company_id, one.model), (None, one.model)):
                self._sums[of][0] += one.requests
                self._sums[of][1] += one.cost_eur

    def expect(
        self, company_id: str, model: str | None, requests: int, estimate_eur: float | None = None
    ) -> float | None:
        """What so many will cost; the estimate where too few were read. `None`: nobody knows."""
        for of in ((company_id, model), (None, model)):
            settled, cost_eur = self._sums.get(of, (0.0, 0.0))
            if settled >= LEAST_SETTLED:
                return requests * cost_eur / settled
        return estimate_eur


@dataclass(slots=True)
class _Work:
    """Requests that are added up, with the time and the money that each batch will take."""

    requests: int = 0
    cost_eur: float = 0.0
    unpriced: int = 0
    ends: list[tuple[Turnaround, int]] = field(default_factory=list)
    held: Counter[Hold] = field(default_factory=Counter)

    def add(
        self, requests: int, cost_eur: float | None, end: Turnaround, held: Counter[Hold]
    ) -> None:
        self.requests += requests
        self.cost_eur += cost_eur or 0.0
        self.unpriced += requests if cost_eur is None else 0
        self.held += held
        if requests > held.total():
            self.ends.append((end, requests - held.total()))

    def __iadd__(self, other: "_Work") -> "_Work":
        self.requests += other.requests
        self.cost_eur += other.cost_eur
        self.unpriced += other.unpriced
        self.ends += other.ends
        self.held += other.held
        return self

    def forecast(self) -> WorkForecast:
        told = [end for end, _ in self.ends if end is not AT_ONCE]
        widest = max(told, key=lambda end: (_WIDTHS[end.basis], -end.batches), default=None)
        hold = self.held.most_common(1)[0][0] if self.held else None
        return WorkForecast(
            requests=self.requests,
            cost_eur=self.cost_eur,
            unpriced=self.unpriced,
            p50_seconds=all_done(self.ends, 0.5),
            p90_seconds=all_done(self.ends, 0.9),
            basis=None if widest is None else widest.basis,
            basis_batches=widest.batches if widest else 0,
            held=self.held.total(),
            held_because=None if hold is None else hold.reason,
            held_until=None if hold is None else hold.until,
        )


class _Calendar:
    """Today, the rest of its month, and the whole days before that tell what is usual."""

    def __init__(self, today: date, first_day: date | None) -> None:
        self.today = today
        # Of the first day nobody has seen the beginning.
        whole = (today - first_day).days - 1 if first_day else 0
        self.known = _days(today, -1, min(whole, 7 * WEEKS_BACK))
        self.left_of_month = _days(today, 1, monthrange(today.year, today.month)[1] - today.day)

    def usual(self, costs: Mapping[date, float], day: date) -> float:
        """The mean of the days of the same name, or of the last week where there are too few."""
        like = [one for one in self.known if one.weekday() == day.weekday()]
        if len(like) < LEAST_DAYS:
            like = self.known[:7]
        return sum(costs.get(one, 0.0) for one in like) / len(like) if like else 0.0


def _days(today: date, step: int, number: int) -> list[date]:
    """So many days from the next one on, or from the one before on backwards."""
    return [today + timedelta(days=step * away) for away in range(1, number + 1)]


@dataclass(slots=True)
class _Company:
    """What is open of one company, and what its days have cost."""

    in_flight: _Work = field(default_factory=_Work)
    waiting: _Work = field(default_factory=_Work)
    spent_eur: dict[date, float] = field(default_factory=dict)
    """By the day of the claim, as all of these."""
    open_eur: defaultdict[date, float] = field(default_factory=lambda: defaultdict(float))
    later_eur: dict[date, float] = field(default_factory=dict)
    """What was claimed after the time of day that it is now."""
    goes_eur: defaultdict[Period, float] = field(default_factory=lambda: defaultdict(float))
    """Of what waits, that which may be sent in the day, and in the month."""

    def let_through(
        self, some: WaitingRequests, cost_eur: float | None, rooms: Mapping[Period, Room]
    ) -> Counter[Hold]:
        """Count what of some waiting requests may be sent in each period; what holds the others."""
        each = None if cost_eur is None else cost_eur / some.requests
        held: Counter[Hold] = Counter()
        for period, room in rooms.items():
            fit, hold = room.take(some.company_id, some.requests, each)
            self.goes_eur[period] += fit * (each or 0.0)
            if period is Period.DAY and hold is not None:
                held[hold] = some.requests - fit
        return held

    def _usual_rest(self, calendar: _Calendar) -> float:
        """What usually still comes today, beyond what waits."""
        usual = calendar.usual(self.later_eur, calendar.today)
        return max(usual - self.waiting.cost_eur, 0.0)

    def day(self, calendar: _Calendar, most_eur: float) -> MoneyForecast:
        """What today will cost; `most_eur` at most of what is still to come."""
        return MoneyForecast(
            spent_eur=self.spent_eur.get(calendar.today, 0.0),
            in_flight_eur=self.open_eur.get(calendar.today, 0.0),
            waiting_eur=self.goes_eur[Period.DAY],
            to_come_eur=min(self._usual_rest(calendar), most_eur),
        )

    def month(self, calendar: _Calendar, most_eur: float) -> MoneyForecast:
        """The same of this month."""
        first = calendar.today.replace(day=1)
        costs = {
            day: self.spent_eur.get(day, 0.0) + self.open_eur.get(day, 0.0)
            for day in calendar.known
        }
        coming = sum(calendar.usual(costs, day) for day in calendar.left_of_month)
        return MoneyForecast(
            spent_eur=sum(cost for day, cost in self.spent_eur.items() if day >= first),
            in_flight_eur=sum(cost for day, cost in self.open_eur.items() if day >= first),
            waiting_eur=self.goes_eur[Period.MONTH],
            to_come_eur=min(self._usual_rest(calendar) + coming, most_eur),
        )


def foresee(standing: Standing, rule: SendingRule) -> Forecasts:
    """Say when all that is open will be done and what it will cost, and the day and the month."""
    history = TurnaroundHistory(standing.batches, rule.window_seconds)
    costs = RequestCosts(standing.settled)
    companies: defaultdict[str, _Company] = defaultdict(_Company)
    for batch in standing.open:
        _add_open(companies[batch.company_id], batch, history, costs, standing.today)
    limits = Limits(rule.caps, standing.budgets, standing.used_today, rule.held_because)
    known = {one.company_id for some in (standing.waiting, standing.days) for one in some}
    rooms = {
        period: limits.room(known | companies.keys(), standing.today, period) for period in Period
    }
    waits = _due_in(standing.waiting, rule.due)
    for some in sorted(standing.waiting, key=lambda one: -one.oldest_wait_seconds):
        end = history.expect(some.model, min(some.requests, rule.max_batch_requests))
        cost = costs.expect(some.company_id, some.model, some.requests, some.estimate_eur)
        company = companies[some.company_id]
        held = company.let_through(some, cost, rooms)
        company.waiting.add(some.requests, cost, end.after(waits[some.company_id]), held)
    for one in standing.days:
        companies[one.company_id].spent_eur[one.day] = one.cost_eur
        companies[one.company_id].later_eur[one.day] = one.later_eur
    calendar = _Calendar(standing.today, standing.first_day)
    each = [
        Forecast(
            company_id=company_id,
            company=standing.companies.get(company_id, company_id),
            in_flight=company.in_flight.forecast(),
            waiting=company.waiting.forecast(),
            day=company.day(calendar, rooms[Period.DAY].left_eur(company_id)),
            month=company.month(calendar, rooms[Period.MONTH].left_eur(company_id)),
        )
        for company_id, company in companies.items()
    ]
    each = _within_all(each, rooms)
    each.sort(key=lambda one: (-one.month.total_eur, one.company_id))
    return Forecasts(_in_all(companies.values(), each), each, len(calendar.known))


def foresee_sending(
    history: TurnaroundHistory, batches: Iterable[tuple[str, int, float | None]]
) -> WorkForecast:
    """Say when batches of these models, requests and costs are done if they are sent now."""
    work = _Work()
    for model, requests, cost_eur in batches:
        work.add(requests, cost_eur, history.expect(model, requests), Counter())
    return work.forecast()


def _add_open(
    company: _Company,
    batch: OpenBatch,
    history: TurnaroundHistory,
    costs: RequestCosts,
    today: date,
) -> None:
    """Count a batch in; what was read of it costs what it has cost."""
    end = AT_ONCE
    if batch.is_running:
        end = history.expect(batch.model, batch.size, batch.age_seconds)
    left = costs.expect(batch.company_id, batch.model, batch.requests, batch.estimate_eur)
    company.in_flight.add(batch.requests, left, end, Counter())
    cost = batch.cost_eur + (left or 0.0)
    company.in_flight.cost_eur += batch.cost_eur
    company.open_eur[today - timedelta(days=batch.days_old)] += cost


def _within_all(each: Sequence[Forecast], rooms: Mapping[Period, Room]) -> list[Forecast]:
    """Let what is still to come of all together be no more than what is for all of them."""
    day = _part(rooms[Period.DAY], sum(one.day.to_come_eur for one in each))
    month = _part(rooms[Period.MONTH], sum(one.month.to_come_eur for one in each))
    return [
        replace(
            one,
            day=replace(one.day, to_come_eur=one.day.to_come_eur * day),
            month=replace(one.month, to_come_eur=one.month.to_come_eur * month),
        )
        for one in each
    ]


def _part(room: Room, eur: float) -> float:
    """Which part of so much may be spent."""
    most = room.left_eur(ALL_COMPANIES)
    return most / eur if most < eur else 1.0


def _due_in(waiting: Iterable[WaitingRequests], rule: DueRule) -> Mapping[str, float]:
    """In how many seconds what each company has waiting is due by the clock alone."""
    requests: defaultdict[str, int] = defaultdict(int)
    oldest: defaultdict[str, float] = defaultdict(float)
    for some in waiting:
        requests[some.company_id] += some.requests
        oldest[some.company_id] = max(oldest[some.company_id], some.oldest_wait_seconds)
    return {
        company_id: rule.due_in_seconds(Backlog(company_id, many, oldest[company_id]))
        for company_id, many in requests.items()
    }


def _in_all(companies: Iterable[_Company], each: Sequence[Forecast]) -> Forecast:
    """All companies together: their work as one, and their sums."""
    in_flight, waiting = _Work(), _Work()
    for company in companies:
        in_flight += company.in_flight
        waiting += company.waiting
    return Forecast(
        company_id="",
        company="Total",
        in_flight=in_flight.forecast(),
        waiting=waiting.forecast(),
        day=_sum(one.day for one in each),
        month=_sum(one.month for one in each),
    )


def _sum(parts: Iterable[MoneyForecast]) -> MoneyForecast:
    sums = [sum(column) for column in zip(*map(astuple, parts), strict=True)]
    return MoneyForecast(*sums or [0.0] * len(fields(MoneyForecast)))

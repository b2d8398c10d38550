"""What is coming, as `batch-assets status` and `plan` say it: sentences, a table, `--json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from batch_assets.cli.conventions import moment, plural
from batch_assets.cli.screen import Column, Screen, number
from batch_assets.domain.display import duration, euros
from batch_assets.domain.forecasts import Forecast, Forecasts, MoneyForecast, WorkForecast
from batch_assets.domain.lookups import MOST_LISTED
from batch_assets.domain.turnarounds import Basis

if TYPE_CHECKING:
    from batch_assets.cli.opening import OpenDatabase
    from batch_assets.stages.forecasts import Outlook


def outlook(database: OpenDatabase) -> Outlook:
    """Read what forecasts are made of."""
    from batch_assets.stages.forecasts import look_ahead

    profile = database.endpoints.profile
    return look_ahead(database.engine, database.settings.policy(), profile)


def show_forecasts(shown: Screen, forecasts: Forecasts) -> None:
    """Print what is coming: in sentences for all together, and by company if there are several."""
    for sentence in work_sentences(forecasts.in_all):
        shown.say(sentence)
    for sentence in money_sentences(forecasts):
        shown.say(sentence)
    coming = [one for one in forecasts.companies if one.month.total_eur or has_work(one)]
    if len(coming) > 1:
        shown.say()
        shown.show(_COLUMNS, coming[:MOST_LISTED])
    if len(coming) > MOST_LISTED:
        shown.say(f"And {len(coming) - MOST_LISTED:,} more companies: see --json.")


def has_work(forecast: Forecast) -> bool:
    """Whether anything of it waits or is in flight."""
    return bool(forecast.in_flight.requests or forecast.waiting.requests)


def work_sentences(forecast: Forecast) -> Iterable[str]:
    """When what is in flight and what waits will be done, and what it will cost."""
    if forecast.in_flight.requests:
        yield f"In flight: {sentence_of_work(forecast.in_flight)}"
    if forecast.waiting.requests:
        yield f"Waiting: {sentence_of_work(forecast.waiting)}"


def sentence_of_work(work: WorkForecast) -> str:
    """What becomes of some requests, by the likeness that tells it; begins with their number."""
    requests = plural(work.requests, "request")
    if work.held == work.requests > 0:
        return f"{requests}, held ({work.held_because}); {_price(work)}."
    said = f"{requests}, {_when(work)}; {_price(work)}."
    if not work.held:
        return said
    return f"{said} Of these {work.held:,} are held, and have no date: {work.held_because}."


def _when(work: WorkForecast) -> str:
    if work.p50_seconds is None or work.p90_seconds is None:
        return "done at once"
    by = moment(datetime.now(UTC) + timedelta(seconds=work.p90_seconds))
    if work.basis is Basis.WINDOW:
        return (
            f"done in {duration(work.p90_seconds)} at the latest ({by}), when the completion "
            "window ends: too few batches have ended yet to tell more"
        )
    likeness = "all models" if work.basis is Basis.ALL else f"the same {work.basis}"
    told_by = plural(work.basis_batches, "batch", "batches")
    return (
        f"half of them done in about {duration(work.p50_seconds)}, nine of ten in "
        f"{duration(work.p90_seconds)} ({by}), told by {told_by} of {likeness}"
    )


def _price(work: WorkForecast) -> str:
    if not work.unpriced:
        return f"about {euros(work.cost_eur)} EUR"
    if work.unpriced == work.requests:
        return "their cost is not known yet"
    return f"about {euros(work.cost_eur)} EUR, and what {work.unpriced:,} of them cost is not known"


def money_sentences(forecasts: Forecasts) -> Iterable[str]:
    """What the day and the month will cost, with the parts."""
    if not forecasts.in_all.month.total_eur:
        return
    usual = forecasts.usual_days
    for name, money in (
        ("Today (UTC)", forecasts.in_all.day),
        ("This month", forecasts.in_all.month),
    ):
        yield f"{name} will cost about {euros(money.total_eur)} EUR: {_parts(money, usual)}."


def _parts(money: MoneyForecast, usual_days: int) -> str:
    known = (
        f"{euros(money.spent_eur)} spent, {euros(money.in_flight_eur)} in flight, "
        f"{euros(money.waiting_eur)} waiting"
    )
    if not usual_days:
        return f"{known}; what usually still comes is known once a whole day has passed"
    days = plural(usual_days, "day")
    return f"{known}, and {euros(money.to_come_eur)} that usually still come (by {days} before)"


def document(forecasts: Forecasts) -> Mapping[str, Any]:
    """The same for `--json`: seconds are from now, days and months are UTC."""
    return {
        "in_all": _as_json(forecasts.in_all),
        "companies": [_as_json(one) for one in forecasts.companies],
        "usual_days": forecasts.usual_days,
    }


def _as_json(forecast: Forecast) -> dict[str, Any]:
    given = asdict(forecast)
    given["day"]["total_eur"] = forecast.day.total_eur
    given["month"]["total_eur"] = forecast.month.total_eur
    return given


def _done(forecast: Forecast) -> str:
    """By when nine of ten are done of what is in flight, or of what waits if nothing is."""
    work = forecast.in_flight if forecast.in_flight.requests else forecast.waiting
    return "" if work.p90_seconds is None else duration(work.p90_seconds)


_COLUMNS: Sequence[Column[Forecast]] = (
    Column("Forecast", lambda one: one.company, name="Forecast for"),
    number("In flight\nEUR", lambda one: euros(one.in_flight.cost_eur)),
    number("Waiting\nEUR", lambda one: euros(one.waiting.cost_eur)),
    number("Day\nEUR", lambda one: euros(one.day.total_eur)),
    number("Month\nEUR", lambda one: euros(one.month.total_eur)),
    number("Nine of ten\ndone in", _done),
)

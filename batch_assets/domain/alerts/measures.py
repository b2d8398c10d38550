"""What each alert measures: a share of many, a speed, an age, a count or a sum, with its sentence.

A rate over too few says nothing, and neither does a metric that no run has recorded.
"""

from typing import Final

from batch_assets.domain.alerts.records import Limits, Measure, Number, Recent, Severity
from batch_assets.domain.livedash_timers import said_of
from batch_assets.domain.wording import plural

USUAL_BATCHES: Final = 20
"""So many batches have to have ended in the last day before they say what is usual."""
BREAKER_MINUTES: Final = 15
"""An operation whose breaker was open within this time counts as not well."""
UNRESOLVED_SECONDS: Final = 2 * 60 * 60.0
"""So long it may take to find out what became of a submission that was cut short."""
LIVEDASH_MINUTES: Final = 15
"""What LiveDash's timers did within this time counts as going on."""
_NAMED: Final = 5


def error_rate(recent: Recent, limits: Limits) -> Measure:
    """How many of the answered requests have failed."""
    ended = _sum(recent.completed_requests, recent.failed_requests)
    rate = _percent(recent.failed_requests, ended, limits.min_requests)
    sentence = (
        f"Of the {ended:,} requests that were answered within {_window(limits)}, "
        f"{recent.failed_requests:,} have failed: {rate:.1f} % "
        f"(at most {limits.error_rate_percent:g} %)."
        if rate is not None
        else _too_few(ended, "requests were answered", limits)
    )
    return Measure(
        value=rate,
        limit=limits.error_rate_percent,
        sentence=sentence,
        numbers={
            "error_rate_percent": rate,
            "failed_requests": recent.failed_requests,
            "answered_requests": ended,
            "threshold_percent": limits.error_rate_percent,
        },
        severity=Severity.ERROR,
    )


def throughput_too_low(recent: Recent, limits: Limits) -> Measure:
    """How many requests a second of work were submitted or read."""
    moved, seconds = recent.moved_requests, recent.moving_seconds
    speed = None
    if moved is not None and moved >= limits.min_requests and seconds:
        speed = moved / seconds
    sentence = (
        f"{moved:,} requests were submitted or read in {_duration(seconds or 0)} of work within "
        f"{_window(limits)}: {speed:.1f} a second (at least {limits.requests_per_second:g})."
        if speed is not None
        else _too_few(moved, "requests were moved", limits)
    )
    return Measure(
        value=speed,
        limit=limits.requests_per_second,
        sentence=sentence,
        numbers={
            "requests_per_second": speed,
            "moved_requests": moved,
            "moving_seconds": seconds,
            "threshold_requests_per_second": limits.requests_per_second,
        },
        severity=Severity.WARN,
        is_floor=True,
    )


def lookup_hit_rate(recent: Recent, limits: Limits) -> Measure:
    """How many lookups of the active companies needed a query."""
    hit_rate = recent.lookup_hit_rate_percent
    known = hit_rate if (recent.day_lookups or 0) >= limits.min_requests else None
    if not limits.has_company_cache:
        sentence = "Every run asks for the companies, since COMPANY_CACHE_SECONDS is 0."
    elif known is not None:
        sentence = (
            f"{known:.1f} % of the last day's {recent.day_lookups:,} lookups of the active "
            f"companies needed no query (at least {limits.lookup_hit_rate_percent:g} %)."
        )
    else:
        sentence = (
            f"Not enough to say: {recent.day_lookups or 0:,} lookups in the last day, "
            f"of which there must be {limits.min_requests:,}."
        )
    return Measure(
        # By its misses: what is well within 95 % cannot be a multiple of it.
        value=None if known is None else 100 - known,
        limit=100 - limits.lookup_hit_rate_percent if limits.has_company_cache else None,
        sentence=sentence,
        numbers={
            "lookup_hit_rate_percent": hit_rate,
            "day_lookups": recent.day_lookups,
            "threshold_percent": limits.lookup_hit_rate_percent,
        },
        severity=Severity.WARN,
    )


def fallback_rate(recent: Recent, limits: Limits) -> Measure:
    """How many database operations the original had to do again."""
    rate = _percent(recent.query_fallbacks, recent.query_operations, limits.min_requests)
    sentence = (
        f"{recent.query_fallbacks:,} of the {recent.query_operations:,} database operations within "
        f"{_window(limits)} were done again by the original implementation: {rate:.1f} % "
        f"(at most {limits.fallback_rate_percent:g} %)."
        if rate is not None
        else _too_few(recent.query_operations, "database operations were made", limits)
    )
    return Measure(
        value=rate,
        limit=limits.fallback_rate_percent,
        sentence=sentence,
        numbers={
            "fallback_rate_percent": rate,
            "query_fallbacks": recent.query_fallbacks,
            "query_operations": recent.query_operations,
            "threshold_percent": limits.fallback_rate_percent,
        },
        severity=Severity.WARN,
    )


def batch_age(recent: Recent, limits: Limits) -> Measure:
    """How long the oldest batch has been on the server."""
    usual = None
    if (recent.turnaround_batches or 0) >= USUAL_BATCHES:
        usual = recent.turnaround_p99_seconds
    limit = max(limits.batch_age_seconds, min(usual or 0, limits.batch_timeout_seconds))
    # Without a batch there is none that is too old; without metrics nobody knows.
    age = recent.oldest_in_flight_seconds
    if age is None and recent.batches_in_flight == 0:
        age = 0.0
    is_overdue = age is not None and age > limits.batch_timeout_seconds
    if age is None:
        sentence = _no_metrics(limits)
    else:
        sentence = (
            f"The oldest batch on the server was submitted {_duration(age)} ago "
            f"(at most {_duration(limit)})."
            if age
            else "No batch is on the server."
        )
    return Measure(
        value=age,
        limit=limit,
        sentence=sentence,
        numbers={
            "oldest_in_flight_seconds": age,
            "turnaround_p99_seconds": usual,
            "threshold_seconds": limit,
        },
        severity=Severity.ERROR if is_overdue else Severity.WARN,
    )


def failed_batch(recent: Recent, limits: Limits) -> Measure:
    """How many batches the server has refused or failed whole."""
    failed = recent.failed_batches
    sentence = (
        f"The server has refused or failed {failed:,} whole batches within {_window(limits)}."
        if failed is not None
        else _no_metrics(limits)
    )
    numbers: dict[str, Number] = {"failed_batches": failed, "threshold_batches": 0}
    return Measure(failed, 0, sentence, numbers, Severity.ERROR)


def dead_letters(recent: Recent, limits: Limits) -> Measure:
    """How many dead letters are new, and how many there are."""
    new, total = recent.new_dead_letters, recent.dead_letters
    shares = [new / limits.new_dead_letters]
    if total is not None:
        shares.append(total / limits.dead_letters)
    said = "an unknown number" if total is None else f"{total:,}"
    return Measure(
        # How far the nearer one of its two limits is used up.
        value=None if total is None and shares[0] <= 1 else max(shares),
        limit=1,
        sentence=(
            f"{new:,} dead letters are new within {_window(limits)} (at most "
            f"{limits.new_dead_letters:,}), and there are {said} in all (at most "
            f"{limits.dead_letters:,})."
        ),
        numbers={
            "new_dead_letters": new,
            "dead_letters": total,
            "threshold_new_dead_letters": limits.new_dead_letters,
            "threshold_dead_letters": limits.dead_letters,
        },
        severity=Severity.WARN,
    )


def cost_above_budget(recent: Recent, limits: Limits) -> Measure:
    """What the answers of this UTC day have cost."""
    cost, budget = recent.day_cost_eur, limits.day_cost_eur
    if budget is None:
        sentence = "No budget is set (BATCH_ALERT_THRESHOLD_DAY_COST_EUR)."
    elif cost is None:
        sentence = "Not enough to say: no run of this UTC day has recorded what it has cost."
    else:
        sentence = (
            f"The answers that were read since midnight UTC have cost {cost:.2f} EUR "
            f"(at most {budget:.2f} EUR)."
        )
        if recent.day_unpriced_answers:
            answers = plural(recent.day_unpriced_answers, "more answer")
            sentence += f" What {answers} cost is not known, since no price list has their model."
    numbers: dict[str, Number] = {
        "day_cost_eur": cost,
        "day_unpriced_answers": recent.day_unpriced_answers,
        "threshold_eur": budget,
    }
    return Measure(cost, budget, sentence, numbers, Severity.ERROR)


def open_breaker(recent: Recent, _limits: Limits) -> Measure:
    """How many operations of the API were refused by their breakers."""
    breakers = recent.open_breakers
    sentence = (
        f"{breakers:,} operations of the API were refused by their breakers within the last "
        f"{BREAKER_MINUTES} minutes."
        if breakers is not None
        else f"Not enough to say: no run of the last {BREAKER_MINUTES} minutes knows."
    )
    numbers: dict[str, Number] = {"open_breakers": breakers, "threshold_breakers": 0}
    return Measure(breakers, 0, sentence, numbers, Severity.ERROR)


def backlog_age(recent: Recent, limits: Limits) -> Measure:
    """How long the oldest request has waited."""
    limit = limits.max_wait_seconds + limits.overdue_seconds
    wait = recent.oldest_wait_seconds
    if wait is None and recent.waiting_requests == 0:
        wait = 0.0
    if wait is None:
        sentence = _no_metrics(limits)
    elif recent.waiting_requests == 0:
        sentence = "No request waits."
    else:
        sentence = (
            f"{recent.waiting_requests or 0:,} requests wait, the oldest for {_duration(wait)} "
            f"(at most {_duration(limit)})."
        )
    return Measure(
        value=wait,
        limit=limit,
        sentence=sentence,
        numbers={
            "oldest_wait_seconds": wait,
            "waiting_requests": recent.waiting_requests,
            "threshold_seconds": limit,
        },
        severity=Severity.ERROR,
    )


def schedule_paused(recent: Recent, _limits: Limits) -> Measure:
    """After how many failed runs in a row the schedule rests."""
    failed = recent.paused_after_failed_runs
    sentence = (
        f"The schedule rests between single runs, since at least {failed:,} in a row have failed."
        if failed
        else "The schedule is not paused."
    )
    return Measure(
        failed, 0, sentence, {"failed_runs": failed, "threshold_runs": 0}, Severity.ERROR
    )


def livedash_timers(recent: Recent, _limits: Limits) -> Measure:
    """What LiveDash's own batch timers have done beside us."""
    acts = sum(number for timer, number in recent.livedash_acts.items() if timer != "unknown")
    sentence = (
        f"LiveDash's own batch timers run beside this project: {said_of(recent.livedash_acts)}; "
        f"bought by both are {recent.bought_twice:,} requests."
        if acts
        else "LiveDash's own batch timers have done nothing beside this project within the last "
        f"{LIVEDASH_MINUTES} minutes."
    )
    numbers: dict[str, Number] = {
        "livedash_acts": acts,
        "bought_twice": recent.bought_twice,
        "threshold_acts": 0,
    }
    return Measure(acts, 0, sentence, numbers, Severity.ERROR)


def livedash_changed(recent: Recent, _limits: Limits) -> Measure:
    """What LiveDash's tables lack of what a run needs."""
    number = len(recent.livedash_lacks)
    more = f" and {number - _NAMED} more" if number > _NAMED else ""
    sentence = (
        "LiveDash's tables have changed; missing is "
        f"{', '.join(recent.livedash_lacks[:_NAMED])}{more}. Nothing is sent, and no result is "
        "read or thrown away."
        if number
        else "LiveDash's tables have every column that a run needs."
    )
    numbers: dict[str, Number] = {"missing": number, "threshold_missing": 0}
    return Measure(number, 0, sentence, numbers, Severity.ERROR)


def unknown_batches(recent: Recent, _limits: Limits) -> Measure:
    """What is on the server under our id and was not made from this database."""
    number = recent.unknown_batches
    if recent.doubt is not None and not number:
        sentence = (
            "Whether another database like this one is at work cannot be told from the server's "
            "lists: nothing is submitted or read."
        )
        doubted: dict[str, Number] = {"unknown_batches": 0, "threshold_batches": 0}
        return Measure(1, 0, sentence, doubted, Severity.ERROR)
    sentence = (
        f"The server has {plural(number, 'batch or file', 'batches or files')} with this "
        "installation's id that this database does not know: nothing is submitted."
        if number
        else "Nothing was seen on the server with this installation's id that this database does "
        "not know."
    )
    numbers: dict[str, Number] = {"unknown_batches": number, "threshold_batches": 0}
    return Measure(number, 0, sentence, numbers, Severity.ERROR)


def unresolved_submission(recent: Recent, _limits: Limits) -> Measure:
    """For how long what became of a submission has not been found out."""
    seconds = recent.unresolved_seconds
    sentence = (
        f"What became of a submission that was cut short is looked for since {_duration(seconds)} "
        f"(at most {_duration(UNRESOLVED_SECONDS)})."
        if seconds
        else "No submission that was cut short is looked for."
    )
    numbers: dict[str, Number] = {
        "unresolved_seconds": seconds,
        "threshold_seconds": UNRESOLVED_SECONDS,
    }
    return Measure(seconds, UNRESOLVED_SECONDS, sentence, numbers, Severity.WARN)


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _percent(part: int | None, whole: int | None, least: int) -> float | None:
    if part is None or whole is None or whole < max(least, 1):
        return None
    return 100 * part / whole


def _too_few(count: int | None, what: str, limits: Limits) -> str:
    """That a rate would be over too few things, or that nobody has counted them."""
    if count is None:
        return _no_metrics(limits)
    return (
        f"Not enough to say: {count:,} {what} within {_window(limits)}, "
        f"of which there must be {limits.min_requests:,}."
    )


def _no_metrics(limits: Limits) -> str:
    """That no run has recorded what is asked for."""
    return f"Not enough to say: no run within {_window(limits)} has recorded it."


def _window(limits: Limits) -> str:
    """The time that sums are over."""
    return f"the last {limits.window_minutes:g} minutes"


def _duration(seconds: float) -> str:
    """So many seconds, in the unit that suits them."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"

"""What recent runs did, as alerts measure it: shares of many, a speed, sums, with a sentence.

A rate over too few says nothing, and neither does a metric that no run has recorded.
"""

from batch_assets.domain.alerts.records import Limits, Measure, Number, Recent, Severity
from batch_assets.domain.display import duration, plural


def error_rate(recent: Recent, limits: Limits) -> Measure:
    """How many of the answered requests have failed."""
    ended = _sum(recent.completed_requests, recent.failed_requests)
    rate = _percent(recent.failed_requests, ended, limits.min_requests)
    sentence = (
        f"Of the {ended:,} requests that were answered within {limits.window}, "
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
        f"{moved:,} requests were submitted or read in {duration(seconds or 0)} of work within "
        f"{limits.window}: {speed:.1f} a second (at least {limits.requests_per_second:g})."
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
        f"{limits.window} were done again by the original implementation: {rate:.1f} % "
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
            f"{new:,} dead letters are new within {limits.window} (at most "
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


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _percent(part: int | None, whole: int | None, least: int) -> float | None:
    if part is None or whole is None or whole < max(least, 1):
        return None
    return 100 * part / whole


def _too_few(count: int | None, what: str, limits: Limits) -> str:
    """That a rate would be over too few things, or that nobody has counted them."""
    if count is None:
        return limits.not_recorded
    return (
        f"Not enough to say: {count:,} {what} within {limits.window}, "
        f"of which there must be {limits.min_requests:,}."
    )

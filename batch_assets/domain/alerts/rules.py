"""The alerts: which there are, and what each one measures. `docs/alerts.md` explains them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from batch_assets.domain.alerts import levels, rates
from batch_assets.domain.alerts.records import Limits, Measure, Recent


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert."""

    asset: str
    """The asset of which it is a check: a group of figures."""
    description: str
    measure: Callable[[Recent, Limits], Measure]


RULES: Final[Mapping[str, Rule]] = {
    "error_rate": Rule(
        "reliability",
        "Of the requests that were answered recently, not too many have failed "
        "(BATCH_ALERT_THRESHOLD_ERROR_RATE).",
        rates.error_rate,
    ),
    "batch_age": Rule(
        "batch_turnaround",
        "No batch is on the server for longer than BATCH_ALERT_THRESHOLD_PROCESSING_TIME and than "
        "nearly all batches of the last day; an error once it is older than BATCH_TIMEOUT_HOURS.",
        levels.batch_age,
    ),
    "failed_batch": Rule(
        "reliability",
        "The server has not refused or failed a whole batch recently.",
        levels.failed_batch,
    ),
    "throughput_too_low": Rule(
        "throughput",
        "While there is something to read or submit, it goes fast enough "
        "(BATCH_ALERT_THRESHOLD_REQUESTS_PER_SECOND).",
        rates.throughput_too_low,
    ),
    "lookup_hit_rate": Rule(
        "company_lookup",
        "Nearly all runs know the active companies without asking the database "
        "(BATCH_ALERT_THRESHOLD_LOOKUP_HIT_RATE).",
        rates.lookup_hit_rate,
    ),
    "fallback_rate": Rule(
        "queries",
        "The original implementation rarely has to do what the optimized one failed at "
        "(BATCH_ALERT_THRESHOLD_FALLBACK_RATE).",
        rates.fallback_rate,
    ),
    "dead_letters": Rule(
        "backlog",
        "Not many requests have become dead letters recently "
        "(BATCH_ALERT_THRESHOLD_NEW_DEAD_LETTERS) or in all (BATCH_ALERT_THRESHOLD_DEAD_LETTERS).",
        levels.dead_letters,
    ),
    "cost_above_budget": Rule(
        "money",
        "What was read since midnight UTC costs no more than BATCH_ALERT_THRESHOLD_DAY_COST_EUR.",
        levels.cost_above_budget,
    ),
    "open_breaker": Rule(
        "reliability",
        "No operation of the API was refused by its breaker lately.",
        levels.open_breaker,
    ),
    "backlog_age": Rule(
        "backlog",
        "No request waits for much longer than it takes to be due "
        "(BATCH_ALERT_THRESHOLD_OVERDUE_MINUTES).",
        levels.backlog_age,
    ),
    "schedule_paused": Rule(
        "reliability", "The schedule does not rest because of failed runs.", levels.schedule_paused
    ),
    "livedash_timers": Rule(
        "reliability",
        "LiveDash's own batch timers do nothing beside this project: they would buy again what is "
        "bought here.",
        levels.livedash_timers,
    ),
    "livedash_changed": Rule(
        "reliability",
        "LiveDash's tables have every column that a run needs: while one is missing, nothing is "
        "sent and no result is read.",
        levels.livedash_changed,
    ),
    "unknown_batches": Rule(
        "reliability",
        "No other database makes batches under this installation's id: a copy of this one, or this "
        "one before it was put back.",
        levels.unknown_batches,
    ),
    "unresolved_submission": Rule(
        "reliability",
        "What became of a submission that was cut short is found out within two hours.",
        levels.unresolved_submission,
    ),
}
"""Every alert by its name, in the order in which people see them."""

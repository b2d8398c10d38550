"""How things stand at the end of a run, as alerts measure it: ages and counts, with a sentence.

A number that no run has recorded says nothing.
"""

from typing import Final

from batch_assets.domain.alerts.records import Limits, Measure, Number, Recent, Severity
from batch_assets.domain.display import duration, plural
from batch_assets.domain.livedash_timers import said_of

USUAL_BATCHES: Final = 20
"""So many batches have to have ended in the last day before they say what is usual."""
BREAKER_MINUTES: Final = 15
"""An operation whose breaker was open within this time counts as not well."""
UNRESOLVED_SECONDS: Final = 2 * 60 * 60.0
"""So long it may take to find out what became of a submission that was cut short."""
LIVEDASH_MINUTES: Final = 15
"""What LiveDash's timers did within this time counts as going on."""
_NAMED: Final = 5


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
        sentence = limits.not_recorded
    else:
        sentence = (
            f"The oldest batch on the server was submitted {duration(age)} ago "
            f"(at most {duration(limit)})."
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
        f"The server has refused or failed {failed:,} whole batches within {limits.window}."
        if failed is not None
        else limits.not_recorded
    )
    numbers: dict[str, Number] = {"failed_batches": failed, "threshold_batches": 0}
    return Measure(failed, 0, sentence, numbers, Severity.ERROR)


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
        sentence = limits.not_recorded
    elif recent.waiting_requests == 0:
        sentence = "No request waits."
    else:
        sentence = (
            f"{recent.waiting_requests or 0:,} requests wait, the oldest for {duration(wait)} "
            f"(at most {duration(limit)})."
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


def account_refused(recent: Recent, _limits: Limits) -> Measure:
    """Whether the API has refused the account, which no later run mends by itself."""
    refused = None if recent.account_refused is None else int(recent.account_refused)
    sentence = {
        None: "Not enough to say: this run has asked the API for nothing, or was not asked.",
        0: "The API takes the key.",
        1: "The API refuses the key or the account: nothing is sent, and no result is read.",
    }[refused]
    numbers: dict[str, Number] = {"refused": refused, "threshold_refused": 0}
    return Measure(refused, 0, sentence, numbers, Severity.ERROR)


def schedule_paused(recent: Recent, _limits: Limits) -> Measure:
    """After how many failed runs in a row the schedule is in cooldown."""
    failed = recent.in_cooldown_after_failed_runs
    sentence = (
        f"The schedule is in cooldown: at least {failed:,} runs in a row have failed."
        if failed
        else "The schedule is not in cooldown."
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
        f"What became of a submission that was cut short is looked for since {duration(seconds)} "
        f"(at most {duration(UNRESOLVED_SECONDS)})."
        if seconds
        else "No submission that was cut short is looked for."
    )
    numbers: dict[str, Number] = {
        "unresolved_seconds": seconds,
        "threshold_seconds": UNRESOLVED_SECONDS,
    }
    return Measure(seconds, UNRESOLVED_SECONDS, sentence, numbers, Severity.WARN)

"""Whether there is anything that a run would do now: the schedule starts one only then.

What a run does with nothing else to do may wait for an idle run, which comes now and then all the
same: figures, checks, and a look at what LiveDash has done. `docs/schedules_and_sensors.md` lists
both. What cannot be seen counts as work.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from batch_assets.domain.allowances import uses
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.policy import Tier
from batch_assets.openai_batch.prices import offers_flex
from batch_assets.stages.circuit_breakers import submission_held_by, synchronous_held_by
from batch_assets.stages.pipeline import prices_of
from batch_assets.stages.plan import terms_of
from batch_assets.store.one_statement import OneStatementQueries
from batch_assets.store.registry import Registry, WorkSnapshot
from batch_assets.store.synchronous_requests import SynchronousBatches
from batch_assets.store.watching import LeftToDo, Watching
from batch_assets.ticks.starting import DecidedRun, TickContext, clock_time
from batch_assets.wiring import account_of

UNSEEN: Final = "what there is to do could not be seen"
_MOST_REASONS: Final = 3


@dataclass(frozen=True, slots=True)
class Work:
    """What a run would do now."""

    why: str | None = None
    """In a clause; `None`: there is nothing to do."""
    held: str | None = None
    """Why a run could send nothing of what is due, in a sentence, where that is all there is."""


def look_for_work(tick: TickContext, last: DecidedRun | None) -> Work:
    """Say why a run is to be started after the last one.

    The database is asked only if the last run succeeded not long ago: one statement, and one more
    if that finds nothing. If that finds but what is due, three look whether any of it could be
    sent, and if none could, one whether anything else is due.
    """
    if last is not None and last.has_failed:
        return Work("the last run has failed")
    if tick.now >= _idle_until(tick, last):
        return Work("no run has ended for a while")
    try:
        return tick.database.read(lambda engine: _work(tick, engine))
    except BatchAssetsError:
        # The run says best what is wrong.
        return Work(UNSEEN)


def nothing_to_do(tick: TickContext, last: DecidedRun | None, held: str | None) -> str:
    """Why no run is started: what was looked at, and when one comes all the same."""
    due = "no company is due" if held is None else "what is due can not be sent yet"
    return (
        "Nothing to do: nothing is in flight, to be read, to be tried again or to be deleted, "
        f"{due}, and no alert is to be delivered. {held + ' ' if held else ''}Unless that changes, "
        f"the next run starts after {clock_time(_idle_until(tick, last))} (BATCH_IDLE_RUN_MINUTES)."
    )


def why_no_flex(tick: TickContext) -> str | None:
    """Why nothing may be sent by flex, as far as settings say; `None` if it may be."""
    synchronous = tick.settings.policy().synchronous
    if not synchronous.is_on:
        return "Synchronous requests are off (BATCH_SYNCHRONOUS_RETRIES)."
    if Tier.FLEX not in synchronous.tiers:
        return "Synchronous requests go at the full price alone (BATCH_SYNCHRONOUS_TIERS)."
    if not (synchronous.flex_models or tick.database.endpoints.profile.lists_flex):
        return "The server is not known to have flex, and BATCH_FLEX_MODELS names no model."
    return None


def nothing_by_flex(tick: TickContext) -> str | None:
    """Why no run is started that sends by flex; `None` if one is to be.

    One statement, and one more if anything could be sent. What cannot be seen is left to the next
    tick.

    Raises:
        BatchAssetsError: The database cannot be read.
    """
    policy = tick.settings.policy()
    flex_models, late_after = policy.synchronous.flex_models, policy.late_after_seconds
    profile = tick.database.endpoints.profile
    outlook = tick.database.read(lambda engine: SynchronousBatches(engine).outlook(late_after))

    def can_go(models: Sequence[str]) -> bool:
        return any(offers_flex(profile, flex_models, one, policy.model_of(one)) for one in models)

    if not can_go(outlook.models):
        return "Nothing is asked for, and nothing is late, that can be sent by flex."
    if not can_go(outlook.models_now):
        return "Flex had no room for what is asked for: that waits for its retry date."
    if not policy.synchronous.has_left(outlook.day.requests, outlook.day.cost_eur):
        return "What may be sent synchronously in a UTC day is used up."
    quiet = policy.external_quiet_seconds
    account_name = tick.settings.account_name
    seen = tick.database.read(lambda engine: Registry(engine, quiet, account_name).snapshot())
    if seen.installation.drain is not None:
        return "Submissions are stopped: it is drained."
    return seen.installation.hold_reason or synchronous_held_by(seen.breakers, Tier.FLEX)


def _idle_until(tick: TickContext, last: DecidedRun | None) -> datetime:
    """Until when no run is started after this one while there is nothing to do."""
    if last is None:
        return tick.now
    return last.ended_at + timedelta(minutes=tick.settings.idle_run_minutes)


def _work(tick: TickContext, engine: Engine) -> Work:
    policy = tick.settings.policy()
    account_name = tick.settings.account_name
    seen = Registry(engine, policy.external_quiet_seconds, account_name).snapshot()
    found = _in_tables(seen)
    held = None
    if not found:
        left = _left_to_do(tick, engine)
        found = _left(left)
        if left.is_due and not seen.installation.is_for_a_run_to_settle:
            held = _held_because(tick, seen, left)
            if held is not None:
                found = _left(replace(left, is_due=False))
            elif len(found) == 1:
                # A run is started in any case where there is more to do.
                left, held = _left_if_held(tick, engine, seen, left)
                found = _left(left)
    return Work("; ".join(found) or None, held)


def _left_to_do(tick: TickContext, engine: Engine, but_of: Sequence[str] = ()) -> LeftToDo:
    receivers = {one.name: one.fingerprint for one in tick.settings.receivers()}
    account = account_of(tick.database.endpoints)
    rule = tick.settings.policy().due_rule
    watching = Watching(engine, tick.settings.account_name)
    return watching.left_to_do(rule, tick.now, receivers, account, but_of)


def _held_because(tick: TickContext, seen: WorkSnapshot, left: LeftToDo) -> str | None:
    """Why a run could send nothing of anybody now, or `None`."""
    held = submission_held_by(tick.database.endpoints.profile, seen)
    of_batches = uses(tick.settings.policy(), left.in_use, tick.now)[0]
    return of_batches.sentence if held is None and of_batches.holds else held


def _left_if_held(
    tick: TickContext, engine: Engine, seen: WorkSnapshot, left: LeftToDo
) -> tuple[LeftToDo, str | None]:
    """What is left beside companies of whom caps, budgets and cooldowns hold all, and by which.

    Of each the oldest requests are looked at, as a claim would: should these be held, and others
    behind them not, then the next run finds out, whatever it is started for.
    """
    profile = tick.database.endpoints.profile
    policy = profile.bound(tick.settings.policy())
    prices = prices_of(OneStatementQueries(engine).model_prices(), policy, profile)
    account, account_name = account_of(tick.database.endpoints), tick.settings.account_name
    terms = terms_of(policy, prices, seen, account, account_name)
    samples = Watching(engine, account_name).sample(policy.due_rule, tick.now, terms)
    if not samples or not all(sample.is_held for sample in samples):
        return left, None
    reasons: Counter[str] = Counter()
    for sample in samples:
        reasons.update(sample.packing.held.keys())
    left = _left_to_do(tick, engine, [sample.company_id for sample in samples])
    return left, _held_by(reasons)


def _held_by(reasons: Counter[str]) -> str:
    """Why nothing of what is due could be sent: what holds most companies comes first."""
    named = [reason for reason, _ in reasons.most_common(_MOST_REASONS)]
    more = len(reasons) - len(named)
    others = [f"{more:,} other reasons"] if more else []
    return f"All that is due is held: {'; '.join([*named, *others])}."


def _in_tables(seen: WorkSnapshot) -> list[str]:
    """What the work snapshot shows of a run's work, a clause each."""
    found = {
        "LiveDash's tables lack what a run needs": bool(seen.livedash_lacks),
        "batches are in flight": seen.has_in_flight,
        "results are to be read": seen.has_ended,
        "a submission was cut short": seen.has_unresolved,
        "the server processes input files": seen.has_pending_files,
        "a file was uploaded only to be seen": seen.has_anchor,
        "files of finished batches are to be deleted": seen.has_leftovers,
        "batches that were given up are to be looked at": seen.has_abandoned,
        "failed requests are to be tried again": seen.has_due_retries,
        "requests are to be sent synchronously": seen.has_synchronous_requests,
        "requests follow others": seen.has_followers,
        "LiveDash has batches that are not watched": seen.has_unwatched,
        "LiveDash's own batch timers run": bool(seen.installation.external_batches),
        "an earlier installation has left something": seen.has_earlier_installation,
    }
    return [clause for clause, is_so in found.items() if is_so]


def _left(left: LeftToDo) -> list[str]:
    found = {
        "a company is due": left.is_due,
        "failed requests wait for their retry date": left.has_put_off,
        "an alert is to be delivered": left.has_alerts,
    }
    return [clause for clause, is_so in found.items() if is_so]

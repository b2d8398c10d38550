"""What an outcome, or the server's word on a batch, comes to before it is written.

Both implementations read it from here.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Final

from batch_assets.domain.batches import BatchOutcomes, InFlightBatch, Written
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.estimates import LearntUsage
from batch_assets.domain.money import Usage
from batch_assets.domain.policy import Policy, Tried
from batch_assets.domain.records import Findings, RemoteBatch, RowOutcome
from batch_assets.domain.states import SERVER_ENDED, livedash_status

_USAGE: Final = tuple(field.name for field in fields(Usage))
_FINDINGS: Final = tuple(field.name for field in fields(Findings) if field.name != "questions")


def paid_columns(outcome: RowOutcome) -> dict[str, Any]:
    """What the server said of an answer and what it cost; `None` throughout without an answer, but
    for EUR, which are 0.

    `cost_usd` is `None` where the cost is not known, too.
    """
    response, is_known = outcome.response, outcome.cost.is_known
    return {
        "openai_request_id": response.request_id if response else None,
        "service_tier": response.service_tier if response else None,
        "system_fingerprint": response.system_fingerprint if response else None,
        **(_values(response.usage, _USAGE) if response else dict.fromkeys(_USAGE)),
        "prompt_token_cost": outcome.cost.rates.prompt if response else None,
        "completion_token_cost": outcome.cost.rates.completion if response else None,
        "cost_eur": outcome.cost.eur,
        "cost_usd": outcome.cost.usd if response and is_known else None,
        "synchronous_cost_eur": outcome.cost.synchronous_eur,
    }


def findings_columns(findings: Findings) -> dict[str, Any]:
    """The session's columns; its questions are rows of their own."""
    return _values(findings, _FINDINGS)


def stage_columns(findings: Findings) -> dict[str, Any]:
    """What LiveDash keeps with the stages of a session: the findings' metadata, as JSON or `None`,
    and how many questions there are, `None` if they were not looked for.
    """
    asked = findings.questions
    known = {
        "language": findings.language,
        "sentiment": findings.sentiment,
        "category": findings.category,
        "questionsCount": None if asked is None else len(asked),
    }
    found = {name: value for name, value in known.items() if value is not None}
    return {
        "metadata": json.dumps(found) if found else None,
        "question_count": None if asked is None else len(asked),
    }


def _values(record: object, names: Sequence[str]) -> dict[str, Any]:
    """Fields by name; `dataclasses.asdict` copies each value, which is most of its time here."""
    return {name: getattr(record, name) for name in names}


def failure_columns(
    failure: Failure, before: Tried, policy: Policy, batch_id: str
) -> dict[str, Any]:
    """A failure in this batch after what came before, and when to try again.

    `delay_seconds` is `None` for a dead letter, and drawn at random for the others; where the whole
    batch failed, once for all its rows, so that they go together again.
    """
    is_one = failure.kind is FailureKind.SERVER
    # The first is no secret: it has to come to the same for every row.
    jitter = random.Random(batch_id) if is_one else random.SystemRandom()  # noqa: S311
    verdict = policy.verdict(failure, before, jitter)
    return {
        "failure_kind": verdict.failure.kind,
        "code": verdict.failure.code,
        "reason": verdict.failure.reason,
        "counted": verdict.counted,
        "attempts": verdict.attempts,
        "delay_seconds": verdict.delay_seconds,
    }


def batch_columns(written: Written, result: BatchOutcomes, usd_to_eur: float) -> dict[str, Any]:
    """What is added to the batch's counters, lines that never were a row included.

    Beside them the price and the exchange rate at which that was settled, and what is added to what
    the run has read of the batch.
    """
    return {
        "completed": written.completed,
        "failed": written.retry + written.dead,
        "returned": written.returned,
        "discarded": written.discarded,
        "refused": result.refused + written.refused.total(),
        "prompt_tokens": written.prompt_tokens,
        "completion_tokens": written.completion_tokens,
        "cost_eur": written.cost_eur,
        "cost_usd": written.cost_usd,
        "synchronous_cost_eur": written.synchronous_cost_eur,
        "unpriced": written.unpriced,
        "cached_tokens": written.cached_tokens,
        "reasoning_tokens": written.reasoning_tokens,
        "saved_eur": written.saved_eur,
        "unusable_eur": written.failed_cost_eur,
        "discarded_eur": written.discarded_cost_eur,
        "price": None if result.price is None else result.price.as_json(),
        "usd_to_eur": usd_to_eur,
    }


def add_money(
    written: Written, kept: Sequence[RowOutcome], discarded: Sequence[RowOutcome]
) -> None:
    """Set what was paid for the outcomes that were applied, each list in its order."""
    paid = [*kept, *discarded]
    usages = [outcome.response.usage for outcome in paid if outcome.response is not None]
    written.prompt_tokens = sum(usage.prompt_tokens for usage in usages)
    written.completion_tokens = sum(usage.completion_tokens for usage in usages)
    written.cached_tokens = sum(usage.cached_tokens or 0 for usage in usages)
    written.reasoning_tokens = sum(usage.reasoning_tokens or 0 for usage in usages)
    written.cost_eur = sum(outcome.cost.eur for outcome in paid)
    written.cost_usd = sum(outcome.cost.usd for outcome in paid)
    written.failed_cost_eur = sum(one.cost.eur for one in kept if one.findings is None)
    written.discarded_cost_eur = sum(outcome.cost.eur for outcome in discarded)
    written.synchronous_cost_eur = sum(outcome.cost.synchronous_eur for outcome in paid)
    written.saved_eur = sum(
        one.cost.synchronous_eur - one.cost.eur for one in kept if one.findings is not None
    )
    written.unpriced = sum(not outcome.cost.is_known for outcome in paid)


def learnt_of(
    outcome: RowOutcome, text_bytes: int | None, estimated_eur: float | None
) -> LearntUsage | None:
    """What one answer has used, of a request that was estimated when it was claimed."""
    usage = None if outcome.response is None else outcome.response.usage
    if usage is None or not usage.prompt_tokens or text_bytes is None:
        return None
    is_compared = estimated_eur is not None and outcome.cost.is_known
    return LearntUsage(
        answers=1,
        text_bytes=text_bytes,
        text_bytes_squared=float(text_bytes) * text_bytes,
        text_bytes_by_prompt_tokens=float(text_bytes) * usage.prompt_tokens,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens or 0,
        completion_tokens=usage.completion_tokens,
        completion_tokens_squared=float(usage.completion_tokens) * usage.completion_tokens,
        estimated_eur=(estimated_eur or 0.0) if is_compared else 0.0,
        billed_eur=outcome.cost.eur if is_compared else 0.0,
    )


def learnt_columns(
    of_batches: Iterable[tuple[str | None, Mapping[str, LearntUsage]]],
) -> list[dict[str, Any]]:
    """What batches add to what was learnt: by model, in their order, and processing type.

    What was learnt of one batch are plain sums; how far off its estimate was is told here.
    """
    learnt: dict[tuple[str, str], LearntUsage] = {}
    for model, by_type in of_batches:
        for name, used in by_type.items():
            if model is None:
                continue
            off = abs(used.estimated_eur - used.billed_eur)
            one = replace(used, weight=float(used.answers), off_eur=off)
            before = learnt.get((model, name))
            learnt[model, name] = one if before is None else one.after(before)
    return [
        {"model": model, "processing_type": name, **asdict(used)}
        for (model, name), used in learnt.items()
    ]


def add_shared(written: Written, kept: Sequence[RowOutcome], shared: Mapping[str, int]) -> None:
    """Count the requests that got another one's answer, and what they would have cost each."""
    if shared:
        costs = {one.request_id: one.cost.eur for one in kept if one.findings is not None}
        written.shared = sum(shared.values())
        written.shared_saved_eur = sum(
            requests * costs.get(leader_id, 0.0) for leader_id, requests in shared.items()
        )


def status_columns(batch: InFlightBatch, remote: RemoteBatch, *, has_ended: bool) -> dict[str, Any]:
    """What the server said of a batch, as the columns of both rows of it."""
    errors = sorted({(error.code, error.line or 0) for error in remote.errors})
    return {
        "batch_id": batch.id,
        "fence": batch.fence,
        "ended": has_ended,
        "server_status": remote.status,
        "server_errors": [code for code, _ in errors],
        "server_error_lines": [line for _, line in errors],
        "server_answered": remote.completed + remote.failed,
        **billed_columns(remote.billed),
        "output_file_id": remote.output_file_id,
        "error_file_id": remote.error_file_id,
        "completed_at": remote.completed_at,
        "status": livedash_status(_word_for_livedash(remote), readable=remote.has_files),
    }


def billed_columns(billed: Usage | None) -> dict[str, int | None]:
    """What the server says that it has billed of a batch."""
    return {
        "server_prompt_tokens": None if billed is None else billed.prompt_tokens,
        "server_cached_tokens": None if billed is None else billed.cached_tokens,
        "server_completion_tokens": None if billed is None else billed.completion_tokens,
    }


def _word_for_livedash(remote: RemoteBatch) -> str:
    """LiveDash is told that a batch runs for as long as its files may still come."""
    may_come = remote.status in SERVER_ENDED and remote.status != "failed"
    return "finalizing" if may_come and not remote.has_files else remote.status

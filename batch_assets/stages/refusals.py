"""What becomes of the rows of a batch that the server refused in validation.

Lines that the server names are dead letters, and the others wait again. Where it names none, the
rows are split into two lots, each of which is sent as a batch of its own, until the wrong rows are
alone or as many batches were sent as the policy allows. Nothing is billed for a refused batch.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.failures import Failure, FailureKind
from batch_assets.domain.records import BatchErrorLine, ResultLine
from batch_assets.openai_batch.codes import Refusal, refusal
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.saying import Few
from batch_assets.stages.writing import ResultWriter
from batch_assets.store.suspects import RefusedRow, Split

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a refusal. Rows of which it says nothing wait again, uncounted."""

    named: Mapping[RefusedRow, Failure] | None = None
    """The failures of the rows whose lines the server named, without those that have ended."""
    all: Failure | None = None
    """The failure of every row that has no outcome yet."""
    halves: tuple[Sequence[str], Sequence[str]] | None = None
    """The requests among which the wrong ones are, in two parts."""


def judge(errors: Sequence[BatchErrorLine], rows: Sequence[RefusedRow]) -> Verdict:
    """What a batch's errors mean for its rows, which are given in the order of its file."""
    meanings = {refusal(error.code) for error in errors}
    if Refusal.NOT_NOW in meanings:
        return Verdict()
    named = _named(errors, rows)
    if named:
        return Verdict(named={row: failure for row, failure in named.items() if row.is_open})
    if Refusal.EVERY_REQUEST in meanings:
        reason = f"The server refuses every request of this batch ({_codes(errors)})."
        return Verdict(all=Failure(FailureKind.PERMANENT, _first_code(errors), reason))
    if Refusal.FOR_NOW in meanings:
        return Verdict(all=_refused(FailureKind.TRANSIENT, errors))
    suspected = [row.request_id for row in rows if row.is_open]
    if len(suspected) == 1:
        reason = f"The server refused a batch of this request alone ({_codes(errors)})."
        return Verdict(all=Failure(FailureKind.PERMANENT, "refused_alone", reason))
    middle = -(-len(suspected) // 2)
    return Verdict(halves=(suspected[:middle], suspected[middle:])) if suspected else Verdict()


def _name(batches: Sequence[EndedBatch]) -> None:
    with Few(log) as few:
        for batch in batches:
            few.warning(
                "The server refused batch %s of %s (%s): the dead letters say what was wrong, or "
                "its requests are sent again apart",
                batch.id,
                batch.company or batch.company_id,
                _codes(batch.server_errors),
            )


def quarantine(pipeline: Pipeline, batches: Sequence[EndedBatch], writer: ResultWriter) -> None:
    """Give rows of refused batches their outcome or their lot; the settling lets the rest wait.

    Doing it again, after a crash before the settling, comes to the same.
    """
    if not batches:
        return
    rows = pipeline.suspects.rows_of([batch.id for batch in batches])
    failing, splits = [], []
    _name(batches)
    for batch in batches:
        verdict = judge(batch.server_errors, rows.get(batch.id, ()))
        if verdict.named is not None:
            for row, failure in verdict.named.items():
                writer.add(batch, ResultLine(row.request_id, None, failure))
        elif verdict.all is not None:
            failing.append((batch, verdict.all))
        elif verdict.halves is not None:
            splits.append((batch, Split(batch.lease, verdict.halves)))
    writer.flush()
    writer.fail_rest([*failing, *_split(pipeline, splits)])


def _split(
    pipeline: Pipeline, splits: Sequence[tuple[EndedBatch, Split]]
) -> list[tuple[EndedBatch, Failure]]:
    """Make lots of refused batches; those for which no more may be sent, with their failure."""
    if not splits:
        return []
    most = pipeline.policy.quarantine_submissions
    done = pipeline.suspects.split([split for _, split in splits], most)
    return [
        (batch, _refused(FailureKind.PERMANENT, batch.server_errors, most))
        for batch, _ in splits
        if done.get(batch.id) is False
    ]


def _named(
    errors: Sequence[BatchErrorLine], rows: Sequence[RefusedRow]
) -> dict[RefusedRow, Failure]:
    """The failures of rows whose lines are named; empty where no named line is one of the file."""
    code_of = {error.line: error.code for error in reversed(errors) if error.line is not None}
    return {
        row: Failure(
            FailureKind.PERMANENT,
            code_of[row.line],
            f"The server refused this line (code {code_of[row.line]}).",
        )
        for row in rows
        if row.line is not None and row.line in code_of
    }


def _refused(
    kind: FailureKind, errors: Sequence[BatchErrorLine], most: int | None = None
) -> Failure:
    reason = f"The server refused the whole batch ({_codes(errors)})."
    if most is not None:
        reason += f" Which requests are wrong was not found within {most} more batches."
    return Failure(kind, "batch_refused", reason)


def _first_code(errors: Sequence[BatchErrorLine]) -> str:
    return next(error.code for error in errors if refusal(error.code) is Refusal.EVERY_REQUEST)


def _codes(errors: Sequence[BatchErrorLine]) -> str:
    """The codes of some errors, each once."""
    return ", ".join(sorted({error.code for error in errors})) or "no code"

"""What becomes of the rows of a batch that the server refused in validation.

Where it names lines, these are dead letters and the others wait again. Where it says nothing of any
row, it may well be the server's own fault: the rows are put off, uncounted and longer each time, in
two bisection groups. Only when the server takes one group and not the other are rows suspected, and
split further until the wrong ones are alone. Nothing is billed for a refused batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.bisection import drawn_anew, halves
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.records import BatchErrorLine, ResultLine
from batch_assets.openai_batch.error_codes import (
    MODEL_NOT_FOUND,
    Refusal,
    is_of_the_server,
    refusal,
)
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.result_writer import ResultWriter
from batch_assets.store.bisection import Evidence, RefusedRow, Split

log = open_log(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a refusal. Rows of which it says nothing wait again, uncounted."""

    named: Mapping[RefusedRow, Failure] | None = None
    """The failures of the rows whose lines the server named, without those that have ended."""
    all: Failure | None = None
    """The failure of every row that has no outcome yet."""
    is_unexplained: bool = False
    """Nothing says whose fault it is: see `weigh`."""


def judge(errors: Sequence[BatchErrorLine], rows: Sequence[RefusedRow]) -> Verdict:
    """Judge what a batch's errors mean for its rows, which are given in the order of its file."""
    meanings = {refusal(error) for error in errors}
    if meanings & {Refusal.NO_ROOM, Refusal.ACCOUNT}:
        return Verdict()
    if any(error.code == MODEL_NOT_FOUND for error in errors):
        # All have the same model, whichever line it is said of.
        return Verdict(all=_of_every_request(errors, MODEL_NOT_FOUND))
    named = _named(errors, rows)
    if named:
        return Verdict(named={row: failure for row, failure in named.items() if row.is_open})
    if Refusal.EVERY_REQUEST in meanings:
        code = next(one.code for one in errors if refusal(one) is Refusal.EVERY_REQUEST)
        return Verdict(all=_of_every_request(errors, code))
    return Verdict(is_unexplained=any(row.is_open for row in rows))


@dataclass(frozen=True, slots=True)
class Weighed:
    """What follows where nothing says whose fault a refusal was."""

    groups: Mapping[str, Sequence[str]] | None
    """The rows by the groups in which they go from now on; `None`: they have found their end."""
    failure: Failure
    """What becomes of the rows; if they are suspected, only where no more groups may be made."""
    is_suspected: bool = False
    """Some of them are wrong for certain: they are sent again at once, to find out which."""


def weigh(batch: EndedBatch, rows: Sequence[RefusedRow], evidence: Evidence, most: int) -> Weighed:
    """Whether the rows of a refused batch or the server are at fault, as far as can be known.

    `most` is how many groups of suspected rows are made.
    """
    suspected = [row.request_id for row in rows if row.is_open]
    codes = _codes(batch.server_errors)
    reason = f"The server refused the whole batch ({codes}), and named no request of it."
    put_off = Failure(FailureKind.SERVER, "batch_refused", reason)
    if any(is_of_the_server(error) for error in batch.server_errors):
        # It says itself that it has failed. If that comes and goes, it strikes one group and not
        # the other: no row is suspected for it, and each time some of them get through.
        evidence = Evidence(evidence.group)
    if len(rows) == 1 and evidence.was_taken:
        reason = (
            f"The server refused a batch of this request alone ({codes}), after it had taken "
            "another one of the same model since it first refused it."
        )
        return Weighed(None, Failure(FailureKind.PERMANENT, "refused_alone", reason))
    if len(rows) > 1 and evidence.is_parted:
        reason = (
            f"The server refused the whole batch ({codes}), and took others of the same requests. "
            f"Which are wrong was not found within {most} more batches."
        )
        dead = Failure(FailureKind.PERMANENT, "batch_refused", reason)
        return Weighed(halves(batch.id, suspected), dead, is_suspected=True)
    if len(rows) > 1 and evidence.is_suspected:
        return Weighed(halves(batch.id, suspected), put_off, is_suspected=True)
    if evidence.group is None:
        return Weighed(halves(batch.id, suspected), put_off)
    return Weighed(drawn_anew(evidence.group, suspected), put_off)


def bisect(pipeline: Pipeline, batches: Sequence[EndedBatch], writer: ResultWriter) -> None:
    """Give rows of refused batches their outcome or their bisection group; the others wait again.

    Doing it again, after a crash before the batches are finalized, comes to the same.
    """
    if not batches:
        return
    rows = pipeline.bisection.rows_of([batch.id for batch in batches])
    failing: list[tuple[EndedBatch, Failure]] = []
    unexplained = []
    _name(batches)
    for batch in batches:
        verdict = judge(batch.server_errors, rows.get(batch.id, ()))
        if verdict.named is not None:
            for row, failure in verdict.named.items():
                writer.add(batch, ResultLine(row.request_id, None, failure))
        elif verdict.all is not None:
            failing.append((batch, verdict.all))
        elif verdict.is_unexplained:
            unexplained.append(batch)
    failing += _weigh_all(pipeline, unexplained, rows)
    writer.flush()
    writer.fail_rest(failing)


def _weigh_all(
    pipeline: Pipeline, batches: Sequence[EndedBatch], rows: Mapping[str, Sequence[RefusedRow]]
) -> list[tuple[EndedBatch, Failure]]:
    """Make groups of batches that were refused without a reason; the failures of their rows."""
    if not batches:
        return []
    most = pipeline.policy.bisection_submissions
    evidence = pipeline.bisection.evidence([batch.id for batch in batches])
    weighed = [(one, weigh(one, rows[one.id], evidence[one.id], most)) for one in batches]
    splits = [
        Split(batch.lease, found.groups, found.is_suspected)
        for batch, found in weighed
        if found.groups is not None
    ]
    done = pipeline.bisection.split(splits, most) if splits else {}
    return [
        (batch, found.failure)
        for batch, found in weighed
        if not (found.is_suspected and done.get(batch.id, True))
    ]


def _name(batches: Sequence[EndedBatch]) -> None:
    with RateLimitedLogger(log) as limited_log:
        for batch in batches:
            limited_log.warning(
                "The server refused batch %s of %s (%s): the dead letters say what was wrong, or "
                "its requests are sent again",
                batch.id,
                batch.company or batch.company_id,
                _codes(batch.server_errors),
            )


def _named(
    errors: Sequence[BatchErrorLine], rows: Sequence[RefusedRow]
) -> dict[RefusedRow, Failure]:
    """The failures of rows whose lines are named; empty where no named line is one of the file."""
    code_of = {
        error.line: error.code for error in reversed(errors) if refusal(error) is Refusal.LINE
    }
    return {
        row: Failure(
            FailureKind.PERMANENT,
            code_of[row.line],
            f"The server refused this line (code {code_of[row.line]}).",
        )
        for row in rows
        if row.line is not None and row.line in code_of
    }


def _of_every_request(errors: Sequence[BatchErrorLine], code: str) -> Failure:
    reason = f"The server refuses every request of this batch ({_codes(errors)})."
    return Failure(FailureKind.PERMANENT, code, reason)


def _codes(errors: Sequence[BatchErrorLine]) -> str:
    """The codes of some errors, each once."""
    return ", ".join(sorted({error.code for error in errors})) or "no code"

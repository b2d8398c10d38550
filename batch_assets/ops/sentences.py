"""The one line that each op of a run logs: what it did, what it left, and why."""

from collections.abc import Mapping, Sequence

from batch_assets.domain.batches import Written
from batch_assets.domain.conservation import Violations
from batch_assets.domain.display import about_cost, listed, of_unpriced, plural, span
from batch_assets.domain.policy import Policy
from batch_assets.resources.company_lookup import ActiveCompanies
from batch_assets.stages.abandoned import AbandonedReport
from batch_assets.stages.plan import DueReport
from batch_assets.stages.poll import PollReport
from batch_assets.stages.recover import RecoverReport
from batch_assets.stages.result_writer import IngestReport
from batch_assets.stages.retry import RetryReport
from batch_assets.stages.submit import SubmitReport
from batch_assets.stages.synchronous_requests import SynchronousReport


def of_polling(polled: PollReport, recovered: RecoverReport) -> str:
    """The batches on the server, and what earlier runs had left open."""
    said = ["No batch runs on the server."]
    if polled.in_flight:
        batches = plural(polled.in_flight, "batch runs", "batches run")
        said = [f"{batches} on the server, the oldest for {span(polled.oldest_batch_seconds)}."]
    if polled.ended:
        said.append(f"Ended since the last look: {polled.ended:,}.")
    if polled.unseen:
        said.append(f"Of {polled.unseen:,} the server told nothing: they stay as they are.")
    if polled.unknown:
        said.append(
            f"It does not know {polled.unknown:,} of them: `batch-assets abandon BATCH --dry-run` "
            "says whether one can be given up."
        )
    if polled.late.overdue_cancelled:
        said.append(f"Cancelled after BATCH_TIMEOUT_HOURS: {polled.late.overdue_cancelled:,}.")
    if polled.late.stuck:
        said.append(
            f"{plural(polled.late.stuck, 'batch does', 'batches do')} not end: `batch-assets "
            "abandon BATCH --force --dry-run` says what it costs to give one up."
        )
    return " ".join([*said, *_of_recovering(recovered)])


def of_reading(report: IngestReport, late: AbandonedReport) -> str:
    """What was read, what became of the rows, what it cost, and what of it is waste."""
    wasted = ""
    if late.late_answers:
        answers = plural(late.late_answers, "answer")
        wasted = (
            f" Batches that were given up brought {answers} that nobody needs any more: "
            f"{late.wasted_abandoned_eur:.4f} EUR are wasted."
        )
    return _of_reading(report) + wasted


def _of_reading(report: IngestReport) -> str:
    if not (report.finalized or report.postponed):
        return "No ended batch waits to be read."
    batches = plural(report.finalized, "batch", "batches")
    said = [f"Read {batches} to the end: {_rows(report.rows, report.failures)}."]
    if report.rows.cost_eur:
        said.append(
            f"They cost {report.rows.cost_eur:.4f} EUR, {report.rows.saved_eur:.4f} less than "
            "synchronous requests would have."
        )
    if report.rows.unpriced:
        said.append(of_unpriced(report.rows.unpriced))
    if report.refused:
        said.append(f"Lines that were not applied: {_counted(report.refused)}.")
    if report.postponed:
        left = plural(report.postponed, "batch is", "batches are")
        said.append(f"{left} read again by a later run.")
    if report.incomplete:
        said.append(
            f"Of {plural(report.incomplete, 'batch', 'batches')} the server has more than it shows."
        )
    return " ".join(said)


def of_retrying(report: RetryReport) -> str:
    """What was sent synchronously, what of it was not and why, and what waits again."""
    said = []
    if report.requeued:
        requests = plural(report.requeued, "failed request waits", "failed requests wait")
        said.append(f"{requests} again: the retry date had come.")
    said += _of_calls(report.synchronous, "synchronously")
    return " ".join(said) or "No failed request is due for its retry."


def of_flex(report: SynchronousReport) -> str:
    """What was sent by flex, what became of it, and what was not sent and why."""
    return " ".join(_of_calls(report, "by flex")) or "No request was to be sent by flex."


def _of_calls(report: SynchronousReport, how: str) -> list[str]:
    said = []
    if report.synchronous_held_because:
        said.append(report.synchronous_held_because)
    if report.synchronous_calls:
        said.append(
            f"{plural(report.synchronous_calls, 'request', 'requests')} sent {how}, "
            f"{report.synchronous_completed:,} answered for {report.synchronous_cost_eur:.4f} EUR."
        )
    if report.synchronous_without_room:
        said.append(f"There was no room for {report.synchronous_without_room:,}: they wait.")
    if report.synchronous_unknown:
        said.append(f"What became of {report.synchronous_unknown:,} is not known.")
    if report.synchronous_held:
        said.append(f"Not sent {how}: {_held(report.synchronous_held)}.")
    return said


def of_companies(found: ActiveCompanies) -> str:
    """How many are active, and by which answer."""
    companies = plural(len(found.companies), "company is", "companies are")
    asked = f"by the answer {span(found.age_seconds)} ago" if found.hits else "by the database"
    return f"{companies} active, {asked}."


def of_due(report: DueReport, policy: Policy) -> str:
    """Which companies are due, what the others wait for, and what was put back."""
    put_back = ""
    if report.beside.put_back:
        requests = plural(report.beside.put_back, "request of ours", "requests of ours")
        put_back = f" Put back where they were: {requests} that somebody had reset."
    return _waiting(report, policy) + put_back


def _waiting(report: DueReport, policy: Policy) -> str:
    if not report.waiting_requests:
        return "Nothing waits to be sent."
    due = sum(backlog.requests for backlog in report.due)
    waits = plural(report.waiting_requests, "request waits", "requests wait")
    said = (
        f"{waits} for {plural(report.waiting_companies, 'company', 'companies')}, the oldest for "
        f"{span(report.oldest_wait_seconds)}; due are {due:,} of "
        f"{plural(len(report.due), 'company', 'companies')}."
    )
    left = report.waiting_companies - len(report.due)
    if left:
        others = plural(left, "other company has", "other companies have")
        said += (
            f" {others} fewer than {policy.min_batch_requests:,} requests, none of them "
            f"{span(policy.max_wait_seconds)} old."
        )
    return said


def of_sending(report: SubmitReport, held_because: str) -> str:
    """What was sent, and what was not and why."""
    if held_because:
        return "Nothing is submitted now: the warning says why."
    said = ["Nothing was sent."]
    if report.batches:
        said = [
            f"Sent {plural(report.requests, 'request')} of "
            f"{plural(len(report.company_ids), 'company', 'companies')} in "
            f"{plural(report.batches, 'batch', 'batches')}: about {report.estimated_tokens:,} "
            f"prompt tokens, {about_cost(*report.cost)}."
        ]
    if report.held:
        said.append(f"Left waiting: {_held(report.held)}.")
    if report.rejected:
        said.append(f"Can never be sent: {_counted(report.rejected)}.")
    if report.released:
        said.append(f"Batches that were not taken, their requests wait again: {report.released:,}.")
    if report.put_off:
        said.append(
            "Batches that a later run goes on with, since the server still processes their files: "
            f"{report.put_off:,}."
        )
    if report.unresolved:
        said.append(f"Batches that a later run looks up: {report.unresolved:,}.")
    return " ".join(said)


def of_deleting(batches: int) -> str:
    """Of how many batches the files were deleted on the server."""
    if not batches:
        return "No file of a finished batch was deleted on the server."
    return f"Deleted the files of {plural(batches, 'finished batch', 'finished batches')}."


def of_failing_for_all(done: str, failed: Mapping[str, str]) -> str:
    """Why a stage has failed that did its work, and came to nothing for any company."""
    companies = plural(len(failed), "company", "companies")
    reasons = listed(sorted({*failed.values()}))
    return (
        f"Nothing could be {done} for any company ({companies}: {reasons}): this run's log and the "
        "database's say more, and the next run tries again."
    )


def of_conservation(violations: Sequence[Violations], numbers: Mapping[str, int]) -> str:
    """Whether everything fits."""
    if not violations:
        looked = _counted({name.replace("_", " "): number for name, number in numbers.items()})
        return f"Each request is in exactly one bucket; looked at: {looked or 'nothing is open'}."
    found = ", ".join(f"{one.count:,} {one.kind}" for one in violations)
    return f"Not everything fits: {found}. The check open_rows_conserved names them."


def _of_recovering(recovered: RecoverReport) -> Sequence[str]:
    said = []
    if recovered.taken_over:
        said.append(
            f"Of {plural(recovered.taken_over, 'batch', 'batches')} that other runs left open, "
            f"{recovered.adopted:,} were on the server, {recovered.absent:,} are looked for again, "
            f"and {recovered.released:,} were never made, so that their requests wait again."
        )
    if recovered.awaited:
        batches = plural(recovered.awaited, "batch", "batches")
        said.append(f"What became of {batches} is looked up further by the next run.")
    if recovered.unproved:
        batches = plural(recovered.unproved, "batch", "batches")
        said.append(f"Of {batches} the server's lists prove nothing: the warning says why.")
    if recovered.earlier.orphaned_batches:
        batches = plural(recovered.earlier.orphaned_batches, "batch", "batches")
        said.append(f"Newly watched: {batches} of an earlier installation, whose schema was lost.")
    if recovered.earlier.orphaned_requests:
        requests = plural(recovered.earlier.orphaned_requests, "request")
        said.append(f"What it had put off goes on here: {requests}.")
    if recovered.external:
        said.append(f"Newly watched batches of LiveDash: {recovered.external:,}.")
    return said


def _rows(rows: Written, failures: Mapping[str, int]) -> str:
    parts = {
        "complete": rows.completed,
        "with the answer of another one": rows.shared,
        "to be retried": rows.retry,
        "dead letters": rows.dead,
        "back to waiting": rows.returned,
        "of deleted sessions": rows.discarded,
        "refused by LiveDash's database": rows.set_aside,
    }
    counted = [f"{number:,} {name}" for name, number in parts.items() if number]
    why = f" (failures: {_counted(failures)})" if failures else ""
    return (", ".join(counted) or "no rows") + why


def _held(held: Mapping[str, int]) -> str:
    return _counted({f"({reason})": requests for reason, requests in held.items()})


def _counted(numbers: Mapping[str, int]) -> str:
    most = sorted(numbers.items(), key=lambda item: -item[1])[:5]
    return ", ".join(f"{number:,} {name}" for name, number in most if number)

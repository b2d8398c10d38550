"""The ops that do the work of a run: one op a stage, in two branches that share nothing.

Each reads its input, calls its stage, and reports. What it hands on says what it has come to, its
failure included: see `ops.handing_on`. After both branches, and after all that people wait for, the
last one deletes files.
"""

from collections.abc import Iterator
from typing import Final

import dagster as dg

from batch_assets.domain.display import of_unknown_types
from batch_assets.domain.errors import (
    ApiError,
    BatchAssetsError,
    FailureKind,
    SubmissionHeldError,
)
from batch_assets.domain.livedash_timers import said_of
from batch_assets.ops import sentences
from batch_assets.ops.failures import api_sentence, attempt, fail_op
from batch_assets.ops.handing_on import STATE, HandedOn, Value, carry_out, show_not_begun
from batch_assets.ops.reporting import (
    add_metadata,
    log_failed_companies,
    log_of,
    metadata_of,
    named,
    run_links,
    show,
)
from batch_assets.resources.company_lookup import CompanyLookupResource
from batch_assets.resources.pipeline import PipelineResource, StageRun
from batch_assets.stages import ingest
from batch_assets.stages.abandoned import read_abandoned
from batch_assets.stages.orphans import delete_leftovers
from batch_assets.stages.plan import find_due
from batch_assets.stages.poll import check_statuses
from batch_assets.stages.recover import RecoverReport, recover
from batch_assets.stages.retry import retry_failed
from batch_assets.stages.run_state import StageState
from batch_assets.stages.submit import SubmitReport, submit_due

FIRST: Final = {"dagster/priority": "1"}
"""What was paid for is brought home before anything is spent, where one op runs after the other."""

LAST: Final = {"dagster/priority": "-1"}
"""Nobody waits for it: the ops that close the run come first, where one runs after the other."""


@dg.op(out=STATE, tags=FIRST)
def check_batch_statuses(context: dg.OpExecutionContext, pipeline: PipelineResource) -> HandedOn:
    """Ask the server about each running batch, and resolve what interrupted runs left open.

    What cannot be resolved now waits for a later run, and does not keep results from being read.
    """

    def work(stage: StageRun) -> None:
        budget = pipeline.budget()
        watch = pipeline.watch_queries()
        with stage.timed():
            seen = pipeline.read_snapshot()
            polled, seen = check_statuses(pipeline.pipeline, seen, budget)
            try:
                recovered, stage.snapshot = recover(pipeline.pipeline, seen, budget)
            except ApiError as error:
                if error.failure.kind is FailureKind.ACCOUNT:
                    raise
                log_of(context).warning(api_sentence(error))
                recovered = RecoverReport()
        log_of(context).info(sentences.of_polling(polled, recovered))
        add_metadata(context, metadata_of(polled) | metadata_of(recovered), watch)

    yield from carry_out(context, pipeline, work)


@dg.op(out=STATE, tags=FIRST)
def ingest_results(
    context: dg.OpExecutionContext, checked: Value, pipeline: PipelineResource
) -> HandedOn:
    """Read ended batches of every company, and write the analyses."""

    def work(stage: StageRun) -> None:
        budget = pipeline.budget()
        watch = pipeline.watch_queries()
        with stage.timed():
            seen = pipeline.snapshot_after(StageState.of_value(checked))
            report, seen = ingest.ingest_results(pipeline.pipeline, seen, budget)
            stage.snapshot = seen
            late = read_abandoned(pipeline.pipeline, seen, budget)
        log_failed_companies(context, report.failed)
        log_of(context).info(sentences.of_reading(report, late))
        links = run_links("sent_by_run", [batch.sent_by_run for batch in report.batches_read])
        add_metadata(context, metadata_of(report) | metadata_of(late) | links, watch)
        if report.failed_for_all:
            stage.is_done = True
            raise BatchAssetsError(sentences.of_failing_for_all("written", report.failed))

    yield from carry_out(context, pipeline, work, after=checked)


@dg.op(out=STATE, tags=FIRST)
def retry_failed_requests(
    context: dg.OpExecutionContext, ingested: Value, pipeline: PipelineResource
) -> HandedOn:
    """Let failed requests that are due wait for a batch, or send them at once if allowed."""

    def work(stage: StageRun) -> None:
        watch = pipeline.watch_queries()
        with stage.timed():
            seen = stage.snapshot = pipeline.snapshot_after(StageState.of_value(ingested))
            report = retry_failed(pipeline.pipeline, seen, pipeline.budget())
        log_of(context).info(sentences.of_retrying(report))
        add_metadata(context, metadata_of(report), watch)

    yield from carry_out(context, pipeline, work, after=ingested)


@dg.op(out=STATE)
def load_companies(
    context: dg.OpExecutionContext,
    company_lookup: CompanyLookupResource,
    pipeline: PipelineResource,
) -> HandedOn:
    """Look up the active companies: only theirs are submitted.

    The answer may be some minutes old. The claim looks at each company again.
    """

    def work(stage: StageRun) -> None:
        with stage.timed():
            found = company_lookup.active()
        stage.note(found.use)
        log_of(context).info(sentences.of_companies(found))
        show(context, found.numbers)
        stage.companies = {company.id: company.name for company in found.companies}

    yield from carry_out(context, pipeline, work)


@dg.op(out=STATE)
def fetch_pending_requests(
    context: dg.OpExecutionContext, loaded: Value, pipeline: PipelineResource
) -> HandedOn:
    """Take in new requests, and see which companies have enough of them or have waited enough."""

    def work(stage: StageRun) -> None:
        watch = pipeline.watch_queries()
        stage.companies = StageState.of_value(loaded).companies
        with stage.timed():
            seen = stage.snapshot = pipeline.last_snapshot()
            report = find_due(pipeline.pipeline, seen, list(stage.companies))
        waiting = {
            "due_companies": len(report.due),
            "due_requests": sum(backlog.requests for backlog in report.due),
            "waiting_companies": report.waiting_companies,
            "waiting_requests": report.waiting_requests,
            "oldest_wait_seconds": report.oldest_wait_seconds,
            "livedash_acts": sum(report.beside.acts.values()),
            "bought_twice": report.beside.bought_twice,
            "put_back": report.beside.put_back,
        }
        noticed = said_of(report.beside.acts)
        if noticed:
            log_of(context).warning(
                "LiveDash's own batch timers run beside this project: %s.", noticed
            )
        log_of(context).info(sentences.of_due(report, pipeline.pipeline.policy))
        add_metadata(context, waiting, watch)
        stage.due_company_ids = [backlog.company_id for backlog in report.due]

    yield from carry_out(context, pipeline, work, after=loaded)


@dg.op(out=STATE)
def submit_batches(
    context: dg.OpExecutionContext, fetched: Value, pipeline: PipelineResource
) -> HandedOn:
    """Claim the due requests into batches, and upload and create these.

    While an operator has not allowed submissions from this database, the requests just wait.
    """

    def work(stage: StageRun) -> None:
        watch = pipeline.watch_queries()
        given = StageState.of_value(fetched)
        held_because = ""
        try:
            with stage.timed():
                seen = pipeline.snapshot_after(given)
                report = submit_due(
                    pipeline.pipeline, seen, given.due_company_ids, pipeline.budget()
                )
        except SubmissionHeldError as error:
            held_because, report = str(error), SubmitReport()
            log_of(context).warning(held_because)
        log_failed_companies(context, report.failed, given.companies)
        log_of(context).info(sentences.of_sending(report, held_because))
        if report.unknown_types:
            log_of(context).warning(of_unknown_types(report.unknown_types))
        report.batches_sent = named(report.batches_sent, given.companies)
        add_metadata(context, metadata_of(report) | {"held_because": held_because}, watch)
        if report.failed_for_all:
            stage.is_done = True
            raise BatchAssetsError(sentences.of_failing_for_all("claimed", report.failed))

    yield from carry_out(context, pipeline, work, after=fetched)


@dg.op(
    ins={"submitted": dg.In(dg.Nothing)},
    out=dg.Out(int, description="Of how many batches the files were deleted."),
    tags=LAST,
)
def delete_batch_files(
    context: dg.OpExecutionContext, retried: Value, pipeline: PipelineResource
) -> Iterator[dg.Output[int]]:
    """Delete the files of finished batches on the server, once everything else is done.

    Whatever came of submitting. What cannot be deleted now is left to the next run, and is no
    failure; what no run deletes expires on the server.
    """
    deleted = 0
    given = StageState.of_value(retried)
    if given.snapshot is None:
        show_not_begun(context, given.stopped_by)
        yield dg.Output(deleted)
        return

    def work() -> None:
        nonlocal deleted
        watch = pipeline.watch_queries()
        seen = pipeline.snapshot_after(given)
        deleted = delete_leftovers(pipeline.pipeline, seen, pipeline.budget())
        log_of(context).info(sentences.of_deleting(deleted))
        add_metadata(context, {"batches_with_deleted_files": deleted}, watch)

    failure = attempt(context, work)
    yield dg.Output(deleted)
    if failure:
        fail_op(failure)

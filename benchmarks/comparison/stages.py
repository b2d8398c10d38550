"""What each measured stage does: the stages of the pipeline, as the job's ops call them."""

from collections.abc import Callable, Mapping

from batch_assets.stages.ingest import ingest_results
from batch_assets.stages.orphans import delete_leftovers
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.plan import find_due
from batch_assets.stages.poll import check_statuses
from batch_assets.stages.recover import recover
from batch_assets.stages.retry import requeue_due
from batch_assets.stages.submit import submit_due

Step = Callable[[Pipeline, Budget], None]


def _create(pipeline: Pipeline, budget: Budget) -> None:
    companies = [company.id for company in pipeline.queries.active_companies()]
    seen = pipeline.read_snapshot()
    due = find_due(pipeline, seen, companies).due
    submit_due(pipeline, seen, [backlog.company_id for backlog in due], budget)


def _check(pipeline: Pipeline, budget: Budget) -> None:
    _, seen = check_statuses(pipeline, pipeline.read_snapshot(), budget)
    recover(pipeline, seen, budget)


def _ingest(pipeline: Pipeline, budget: Budget) -> None:
    _, seen = ingest_results(pipeline, pipeline.read_snapshot(), budget)
    requeue_due(pipeline, seen, budget)


def _delete(pipeline: Pipeline, budget: Budget) -> None:
    delete_leftovers(pipeline, pipeline.read_snapshot(), budget)


STEPS: Mapping[str, tuple[Step, ...]] = {
    "create": (_create,),
    "check": (_check,),
    "ingest": (_ingest,),
    "delete": (_delete,),
    "idle": (_check, _ingest, _create, _delete),
    "total": (_create, _check, _ingest, _delete),
}
"""The steps of each stage. Before each one the server has ended what it had."""

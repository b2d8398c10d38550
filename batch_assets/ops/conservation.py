"""The op that looks whether each request is in exactly one bucket, and how that is told."""

from collections.abc import Sequence

import dagster as dg

from batch_assets.domain.conservation import Misfits
from batch_assets.ops import sentences
from batch_assets.ops.handing_on import SUMMARY, Value, carry_on
from batch_assets.ops.reporting import evaluation_of, log_check, log_of, show, tag_run
from batch_assets.resources.connections import DatabaseResource
from batch_assets.resources.pipeline import PipelineResource, StageRun
from batch_assets.stages import conservation
from batch_assets.stages.run_state import RunSummary
from batch_assets.store.conservation import Conservation

ASSET = dg.AssetKey("row_conservation")
OPEN_ROWS = "open_rows_conserved"
ALL_ROWS = "all_rows_conserved"

_MISFITS = dg.TableSchema(
    columns=[
        dg.TableColumn("kind"),
        dg.TableColumn("count", "int"),
        dg.TableColumn("meaning"),
        dg.TableColumn("what_to_do"),
        dg.TableColumn("ids", description="The first 20, of requests or of batches."),
    ]
)


@dg.op(out=SUMMARY)
def check_row_conservation(
    context: dg.OpExecutionContext,
    recorded: Value,
    database: DatabaseResource,
    pipeline: PipelineResource,
) -> Value:
    """Look whether each open request, and each that the run has moved, is in exactly one bucket.

    It also tags the run with what all ops have done.
    """
    run = RunSummary.of_value(recorded)

    def work(stage: StageRun) -> None:
        look = conservation.check_open_rows(Conservation(database.engine), run.seconds)
        log_check(context, evaluation(OPEN_ROWS, look.misfits, look.numbers))
        log_of(context).info(sentences.of_conservation(look.misfits, look.numbers))
        show(context, look.numbers)
        tag_run(context, _tags(run, stage, pipeline.query_mode))

    return carry_on(context, pipeline, run, work)


def _tags(run: RunSummary, stage: StageRun, mode: str) -> dict[str, object]:
    """What the list of runs says of this one. Statements are those on LiveDash's database."""
    return {
        "mode": mode,
        "companies": run.companies,
        "requests": run.requests,
        "results": run.results,
        "statements": run.statements + stage.statements,
    }


def evaluation(
    check: str, misfits: Sequence[Misfits], numbers: dict[str, int], *, adds_up: bool = True
) -> dg.AssetCheckEvaluation:
    """What a check says: it names what does not fit, and what to do about it.

    What LiveDash has done beside us is a warning. Every number is there each time, zeros too.
    """
    is_error = not adds_up or any(found.meaning.is_error for found in misfits)
    return evaluation_of(
        dg.AssetCheckKey(ASSET, check),
        passed=adds_up and not misfits,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=_sentence(misfits, adds_up=adds_up),
        entries={**numbers, "misfits": _misfits_table(misfits)},
    )


def _misfits_table(misfits: Sequence[Misfits]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "kind": str(found.kind),
                "count": found.count,
                "meaning": found.meaning.sentence,
                "what_to_do": found.meaning.advice,
                "ids": ", ".join(found.ids),
            }
        )
        for found in misfits
    ]
    return dg.MetadataValue.table(records, schema=_MISFITS)


def _sentence(misfits: Sequence[Misfits], *, adds_up: bool) -> str:
    said = [] if adds_up else ["The buckets do not add up to the rows."]
    said += [f"{found.kind}: {found.count}. {found.meaning.sentence}" for found in misfits]
    return " ".join(said) or "Each request is in exactly one bucket."

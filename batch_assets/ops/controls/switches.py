"""The controls of how runs work: which queries and companies, what may be spent, what goes on.

And the op that prunes what is kept of runs.
"""

from typing import Literal

import dagster as dg
from pydantic import Field

from batch_assets.domain.errors import ConfigurationError
from batch_assets.ops import sentences
from batch_assets.ops.failures import clear_failures
from batch_assets.ops.reporting import log_of, metadata_of, show, tag_run, who
from batch_assets.resources.company_lookup import CompanyLookupResource
from batch_assets.resources.connections import DatabaseResource, WiringResource
from batch_assets.resources.history import open_history
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.resources.query_strategy import Mode
from batch_assets.stages.controls.accounts import assign_company
from batch_assets.stages.controls.budgets import ALL, clear_budget, set_budget
from batch_assets.stages.controls.query_mode import choose_mode, compare_queries
from batch_assets.stages.controls.reset import correct_stages, resume
from batch_assets.stages.prune import prune
from batch_assets.store.lookups import Lookups
from batch_assets.store.strategy import Compared, CompareLimits, StoredModes

_DEFAULTS = CompareLimits()
_SCHEMA = dg.TableSchema(
    columns=[
        dg.TableColumn("operation"),
        dg.TableColumn("result", description="Whether both gave the same rows."),
        dg.TableColumn("rows", "int"),
        dg.TableColumn("original_statements", "int"),
        dg.TableColumn("optimized_statements", "int"),
        dg.TableColumn("original_seconds", "float"),
        dg.TableColumn("optimized_seconds", "float"),
        dg.TableColumn("ratio", "float", description="The original's time by the optimized one's."),
    ]
)
Which = Literal[
    "all",
    "upload",
    "create_batch",
    "retrieve_batch",
    "list_batches",
    "list_files",
    "cancel_batch",
    "retrieve_file",
    "delete_file",
    "download_file",
    "check_account",
    "chat_completion",
    "flex_completion",
    "account",
]


class ModeConfig(dg.Config):
    """What runs use from the next one on."""

    mode: Mode = Field(
        description='"true" (or auto): the optimized queries while they are faster and succeed. '
        '"false" (or original): the original queries. optimized: the optimized queries, always. '
        "environment: take the choice back, so that ENABLE_BATCH_OPTIMIZATION says again. true and "
        "false need their quotes. The results are the same."
    )


@dg.op(out=dg.Out(str, description="The mode of the next run."))
@clear_failures()
def choose_query_mode(
    context: dg.OpExecutionContext,
    config: ModeConfig,
    database: DatabaseResource,
    wiring: WiringResource,
) -> str:
    """Keep a choice in the database that goes before the environment until it is taken back.

    A run that is under way keeps its mode; one that is told otherwise in the Launchpad keeps to
    that.
    """
    environment = wiring.settings.toggle().mode
    report = choose_mode(StoredModes(database.engine), environment, config.mode, who(context))
    log_of(context).info(report.sentence)
    show(
        context,
        {
            "mode": report.mode.value,
            "mode_before": (report.before.mode if report.before else environment).value,
            "is_stored": report.now is not None,
            "environment": environment.value,
        },
    )
    tag_run(context, {"mode": report.mode.value})
    return report.mode.value


class CompareConfig(dg.Config):
    """What a comparison may cost."""

    seconds: float = Field(
        default=_DEFAULTS.seconds,
        description="A call that takes longer is cancelled on the server: 0.1 to 60 seconds.",
    )
    companies: int = Field(
        default=_DEFAULTS.companies,
        description="For how many active companies is asked what waits: 1 to 100,000.",
    )
    batches: int = Field(
        default=_DEFAULTS.batches,
        description="Of how many of the newest batches rows are read: 1 to 1,000.",
    )
    rows: int = Field(
        default=_DEFAULTS.rows, description="How many of their rows at most: 1 to 100,000."
    )


@dg.op(out=dg.Out(int, description="How many operations gave different rows."))
@clear_failures()
def compare_implementations(
    context: dg.OpExecutionContext,
    config: CompareConfig,
    database: DatabaseResource,
) -> int:
    """Let both do each operation that only reads, and compare rows, statements and seconds.

    Nothing is written: the session refuses it. Only what the table shows is kept, no conversation.
    """
    limits = CompareLimits(config.seconds, config.companies, config.batches, config.rows)
    report = compare_queries(database.engine, limits, str)
    for one in report.different:
        log_of(context).error(
            "%s gives %d different rows: choose the mode false (choose_mode_job), and report it.",
            one.query,
            one.different_rows,
        )
    log_of(context).info(report.sentence)
    show(
        context,
        {
            "compared": dg.MetadataValue.table([_record(one) for one in report.compared], _SCHEMA),
            "different": len(report.different),
            **report.totals,
        },
    )
    tag_run(context, {"different": len(report.different)})
    return len(report.different)


def _record(one: Compared) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "operation": one.query,
            "result": f"{one.verdict} (one statement in both)"
            if one.is_shared
            else one.verdict.value,
            "rows": one.rows,
            "original_statements": one.original_statements,
            "optimized_statements": one.optimized_statements,
            "original_seconds": round(one.original_seconds, 6),
            "optimized_seconds": round(one.optimized_seconds, 6),
            "ratio": None if one.ratio is None else round(one.ratio, 2),
        }
    )


@dg.op(out=dg.Out(int, description="How many companies are active."))
@clear_failures()
def refresh_companies(context: dg.OpExecutionContext, company_lookup: CompanyLookupResource) -> int:
    """Forget which companies were active, and ask the database now; for this host's next runs."""
    found = company_lookup.refresh()
    log_of(context).info(sentences.of_companies(found))
    show(context, found.numbers)
    return len(found.companies)


class ResetConfig(dg.Config):
    """What goes on."""

    operation: Which = Field(
        default="all",
        description="The API operation whose calls are made again; account: batches are submitted "
        "again. all, the default: all of that, and schedule and sensors start runs as well.",
    )
    dry_run: bool = Field(default=False, description="true: only say what is stopped.")


@dg.op(out=dg.Out(int, description="How many breakers were closed."))
@clear_failures()
def reset_breakers(
    context: dg.OpExecutionContext,
    config: ResetConfig,
    database: DatabaseResource,
    wiring: WiringResource,
) -> int:
    """Close breakers and end the schedule's cooldown; failures are counted anew from then on."""
    named = [] if config.operation == "all" else [config.operation]
    report = resume(
        database.engine,
        named,
        who(context),
        dry_run=config.dry_run,
        account_names=wiring.settings.account_names,
    )
    log_of(context).info(" ".join(report.sentences))
    show(
        context,
        {
            "dry_run": report.dry_run,
            "operations": ", ".join(report.operations),
            "breakers": len(report.operations),
            "account_resumed": report.account,
            "schedule_resumed": report.schedule,
        },
    )
    tag_run(context, {"breakers": len(report.operations), "dry_run": report.dry_run})
    return len(report.operations)


class ResetStagesConfig(dg.Config):
    """What the Launchpad asks for."""

    dry_run: bool = Field(default=True, description="true: only say what would be set right.")


@dg.op(out=dg.Out(int, description="How many sessions were set right."))
@clear_failures()
def reset_stages(
    context: dg.OpExecutionContext,
    config: ResetStagesConfig,
    database: DatabaseResource,
) -> int:
    """Let the stage AI_ANALYSIS of each session say what its requests do.

    One that is in progress for nothing becomes COMPLETED, FAILED, or PENDING: then LiveDash makes a
    request for it.
    """
    report = correct_stages(database.engine, dry_run=config.dry_run)
    log_of(context).info(" ".join(report.sentences))
    show(context, metadata_of(report))
    sessions = report.orphaned + report.unstaged
    tag_run(context, {"sessions": sessions, "dry_run": report.dry_run})
    return sessions


class BudgetConfig(dg.Config):
    """Whose budget, for what time, and how much."""

    company: str = Field(
        description="The company: its id, or its name if no other has it. all: the budget of all "
        "companies together."
    )
    period: Literal["day", "month"] = Field(
        description="day: a UTC day. month: a calendar month in UTC."
    )
    eur: float | None = Field(
        default=None,
        description="What may be spent in each such period, in EUR; 0: nothing is sent. What was "
        "spent of the present one counts.",
    )
    clear: bool = Field(
        default=False, description="true: the budget is taken back; eur is left out then."
    )


@dg.op(out=dg.Out(int, description="How many budgets were set or taken back: 1."))
@clear_failures()
def set_budget_of_company(
    context: dg.OpExecutionContext, config: BudgetConfig, database: DatabaseResource
) -> int:
    """Set what may be spent by a company, or by all together, in each day or month.

    What goes beyond it waits until the next one begins. What is under way is paid for.
    """
    if (config.eur is None) != config.clear:
        raise ConfigurationError("How much? Give eur, or clear: true to take the budget back.")
    lookups = Lookups(database.engine)
    company = None if config.company.lower() == ALL else config.company
    if config.eur is None:
        report = clear_budget(lookups, company, config.period)
    else:
        report = set_budget(lookups, company, config.period, config.eur, who(context))
    log_of(context).info(report.sentence)
    show(context, {"set": report.set_now, "taken_back": report.taken_back, "said": report.sentence})
    tag_run(context, {"company": config.company})
    return report.set_now + report.taken_back


class AccountConfig(dg.Config):
    """Which company, and which account."""

    company: str = Field(description="The company: its id, or its name if no other has it.")
    account: str = Field(
        description="The account that serves it from now on: one of BATCH_ACCOUNTS, or default."
    )


@dg.op(out=dg.Out(str, description="The account that served it before."))
@clear_failures()
def assign_account_of_company(
    context: dg.OpExecutionContext,
    config: AccountConfig,
    database: DatabaseResource,
    wiring: WiringResource,
) -> str:
    """Let an account serve a company from now on.

    What is under way is read with the one that it was made with.
    """
    names = wiring.settings.account_names
    lookups = Lookups(database.engine)
    report = assign_company(lookups, config.company, config.account, names, who(context))
    log_of(context).info(report.sentence)
    show(context, {"account": report.account_name, "before": report.before})
    tag_run(context, {"company": report.company, "account": report.account_name})
    return report.before


class PruneConfig(dg.Config):
    """What the Launchpad asks for."""

    dry_run: bool = Field(
        default=False, description="Only count what is older than BATCH_MONITORING_RETENTION_DAYS."
    )


@dg.op(out=dg.Out(int, description="How many of Dagster's runs went."))
@clear_failures()
def prune_history(
    context: dg.OpExecutionContext,
    config: PruneConfig,
    database: DatabaseResource,
    pipeline: PipelineResource,
    wiring: WiringResource,
) -> int:
    """Delete metrics, measurements, runs and events that are older than is asked for.

    Nothing that was paid for goes, no active run, and no run with an asset's latest metrics.
    """
    days = wiring.settings.monitoring_retention_days
    with open_history(database.engine, wiring.endpoints, context.instance) as history:
        report = prune(history, pipeline.budget(), days=days, dry_run=config.dry_run)
    show(context, metadata_of(report))
    return report.dagster_runs

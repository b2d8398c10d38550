"""The controls as jobs: what a wrong config is told, what a dry run shows, what is done."""

from dataclasses import dataclass
from typing import Any, get_args

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from batch_assets.definitions import defs
from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.jobs import control_jobs
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Operation
from batch_assets.ops.controls import batches, switches
from batch_assets.resources.query_strategy import Mode
from batch_assets.resources.run_executor import EXCLUSIVE
from batch_assets.settings import load_settings
from batch_assets.stages.controls.query_mode import ENVIRONMENT
from batch_assets.store.breakers import Breakers
from batch_assets.store.strategy import QueryMode, choose_queries
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_local.batch_server.config import Timing
from batch_assets_tests.dagster.conftest import RunJob
from batch_assets_tests.dagster.reading import failure_of, metadata_of
from batch_assets_tests.factories import make_company, make_request, make_requests
from batch_assets_tests.policies import a_policy
from batch_assets_tests.stages.support import wait_until
from batch_assets_tests.store.queries.support import PERMANENT, TRANSIENT, Desk, failed

NAME = "Zorggroep Oost"
CONTROLS = [job.name for job in control_jobs(load_settings({}))]
HARMLESS = {
    *("assign_account_job", "choose_mode_job", "compare_queries_job"),
    *("reset_breakers_job", "set_budget_job"),
}
"""They spend nothing, and what they do can be taken back: they begin with no dry run."""


@dataclass(frozen=True)
class Panel:
    """The controls on one database and server."""

    desk: Desk
    api: RunningServer
    run: RunJob
    url: str

    def start(self, job: str, op: str, **config: Any) -> dg.ExecuteInProcessResult:
        run_config = {"ops": {op: {"config": config}}}
        return self.run(self.url, job_name=job, base_url=self.api.base_url, run_config=run_config)

    def refusal(self, job: str, op: str, **config: Any) -> str:
        """The sentence with which a run fails."""
        return failure_of(self.start(job, op, **config), op)

    def numbers(self, job: str, op: str, **config: Any) -> dict[str, object]:
        """The output's metadata of a run that succeeds."""
        result = self.start(job, op, **config)
        assert result.success
        return metadata_of(result, op)


@pytest.fixture
def panel(run_job: RunJob, database_url: str, engine: Engine, api: RunningServer) -> Panel:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE batch_assets.installation SET confirmed_at = CURRENT_TIMESTAMP")
        )
    return Panel(Desk(engine, choose_queries(engine, optimized=True)), api, run_job, database_url)


def company_with(engine: Engine, count: int, **options: Any) -> str:
    with engine.begin() as connection:
        company_id = make_company(connection, **options)
        make_requests(connection, company_id, count)
    return company_id


def test_every_field_explains_itself_and_closed_ones_have_all_their_values() -> None:
    for name in CONTROLS:
        job = defs.resolve_job_def(name)
        assert job.description
        (node,) = job.nodes
        assert node.definition.description
        schema = node.definition.config_schema.config_type  # type: ignore[union-attr] # an op
        fields = getattr(schema, "fields", {})
        assert bool(fields) == (name != "refresh_companies_job")
        assert all(field.description for field in fields.values()), name
    assert get_args(batches.Kind) == ("any", *FailureKind)
    assert get_args(switches.Which) == ("all", *Operation, "account")
    words = {word for mode in QueryMode for word in (mode.value, mode.stored)}
    assert set(get_args(Mode)) == {ENVIRONMENT, *words}


@pytest.mark.parametrize(
    ("job", "op", "config", "said"),
    [
        ("requeue_job", "requeue_requests", {"kind": "bad"}, "not in enum type"),
        ("requeue_job", "requeue_requests", {"older": "7d"}, "unexpected config entry"),
        ("requeue_job", "requeue_requests", {"ids": "one"}, "must be list"),
        ("force_batch_job", "force_batch_of_company", {}, "Missing required config entry"),
        ("choose_mode_job", "choose_query_mode", {"mode": "quick"}, "not in enum type"),
        # As YAML takes an unquoted word.
        ("choose_mode_job", "choose_query_mode", {"mode": True}, "must be a string"),
        ("reset_breakers_job", "reset_breakers", {"operation": "uploads"}, "not in enum type"),
        (
            "set_budget_job",
            "set_budget_of_company",
            {"company": NAME, "period": "week"},
            "not in enum type",
        ),
    ],
)
def test_the_launchpad_refuses_a_wrong_shape(
    job: str, op: str, config: dict[str, Any], said: str
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=said):
        dg.validate_run_config(defs.resolve_job_def(job), {"ops": {op: {"config": config}}})


@pytest.mark.parametrize("job", sorted({*CONTROLS} - {"refresh_companies_job"}))
def test_the_launchpad_begins_with_what_each_field_means(job: str) -> None:
    control = defs.resolve_job_def(job)
    (op,) = control.graph.node_defs
    assert isinstance(op, dg.OpDefinition)
    whole = control.run_config_schema.config_type
    said = str(whole.description)
    assert said.startswith(str(control.description))
    fields = op.config_schema.as_field().config_type.fields  # type: ignore[attr-defined] # a Shape
    assert fields
    for name, field in fields.items():
        assert f"• {name}: {field.description}" in said
    begun = dg.validate_run_config(control, {})["ops"][op.name]["config"]
    spends_or_stays = {"dry_run": True}.items() <= begun.items()
    assert spends_or_stays is (job not in HARMLESS)


def test_only_what_submits_waits_for_the_job(panel: Panel) -> None:
    tags = {name: defs.resolve_job_def(name).run_tags for name in CONTROLS}
    exclusive = {name for name, those in tags.items() if EXCLUSIVE.items() <= those.items()}
    assert exclusive == {"force_batch_job"}


def test_requeue(panel: Panel, instance: dg.DagsterInstance) -> None:
    desk = panel.desk
    batch, ids = desk.ended(4)
    desk.do('UPDATE public."Company" SET name = :name', name=NAME)
    outcomes = [failed(one, PERMANENT) for one in ids[:3]] + [failed(ids[3], TRANSIENT)]
    desk.write(batch.lease, outcomes)
    desk.finalize(batch.lease)
    which = ("requeue_job", "requeue_requests")

    for config, sentence in (
        ({}, "Which ones? Give ids, company, code, kind, older_than or newer_than, or all for all"),
        ({"older_than": "7w"}, "older_than is '7w': it must be an age such as 36h or 7d"),
    ):
        said = panel.refusal(*which, **config)
        assert sentence in said
        assert "\n" not in said

    planned = panel.numbers(*which, company=NAME, retries=True)
    assert (planned["dry_run"], planned["chosen"], planned["requeued"]) == (True, 4, 0)
    assert desk.statuses(ids) == {"PROCESSING_FAILED", "BATCHING_IN_PROGRESS"}
    with desk.engine.begin() as connection:
        elsewhere = make_request(connection, desk.session_id(ids[0]), status="PROCESSING_FAILED")
    for name in ("external", "foreign"):
        given: dict[str, Any] = {"ids": [elsewhere], name: True}
        assert panel.numbers(*which, **given)["chosen"] == 1

    result = panel.start(*which, kind="permanent", newer_than="1h", dry_run=False)
    assert metadata_of(result, "requeue_requests")["requeued"] == 3
    assert desk.intake() == set(ids[:3])
    tags = instance.get_run_by_id(result.run_id).tags  # type: ignore[union-attr] # it ran
    assert (tags["batch_assets/requests"], tags["batch_assets/dry_run"]) == ("3", "false")


def test_force(panel: Panel) -> None:
    engine = panel.desk.engine
    company_id = company_with(engine, 3, name=NAME)
    company_with(engine, 3, status="SUSPENDED", name="Resting")
    which = ("force_batch_job", "force_batch_of_company")

    assert "Company Resting is SUSPENDED: nothing is sent" in panel.refusal(
        *which, company="Resting", dry_run=False
    )
    planned = panel.numbers(*which, company=NAME)
    assert (planned["requests"], planned["batches"]) == (3, 1)
    assert panel.api.ledger().totals().requests == 0
    assert not panel.desk.column("SELECT id FROM batch_assets.batch")

    sent = panel.numbers(*which, company=company_id, max_requests=2, dry_run=False)
    assert (sent["requests"], sent["batches"]) == (2, 1)
    run_ids = panel.desk.column("SELECT run_id FROM batch_assets.batch")
    assert all(run_ids), "a batch leads to the run that has sent it"


def test_cancel(panel: Panel) -> None:
    timing = Timing.instant().model_copy(update={"hold_after_rows": 1})
    panel.api.set_config(ServerConfig.model_validate({"timing": timing}))
    company_with(panel.desk.engine, 12, name=NAME)
    force = ("force_batch_job", "force_batch_of_company")
    sent = panel.start(*force, company=NAME, dry_run=False)
    ((batch_id, openai_id),) = panel.desk.column_pairs(
        "SELECT id, openai_batch_id FROM batch_assets.batch"
    )
    which = ("cancel_batch_job", "cancel_batch_on_server")

    planned = panel.numbers(*which, batch=batch_id)
    assert (planned["dry_run"], planned["requests"], planned["company"]) == (True, 12, NAME)
    assert planned["sent_by_run"] == sent.run_id
    cancelled = panel.numbers(*which, batch=openai_id, dry_run=False)
    assert cancelled["batch_id"] == batch_id
    assert panel.desk.batch(batch_id).cancelled_at is not None
    assert "No batch has the id 'nobody'" in panel.refusal(*which, batch="nobody")


def test_abandon(panel: Panel) -> None:
    timing = Timing.instant().model_copy(update={"hold_after_rows": 0})
    held = {"timing": timing, "quirks": {"batch_list_lag_seconds": 3_600}}
    panel.api.set_config(ServerConfig.model_validate(held))
    company_with(panel.desk.engine, 12, name=NAME)
    panel.start("force_batch_job", "force_batch_of_company", company=NAME, dry_run=False)
    batch_id = panel.desk.value("SELECT id FROM batch_assets.batch")
    which = ("abandon_batch_job", "abandon_unknown_batch")
    assert "give a shorter older_than" in panel.refusal(*which, batch=batch_id)
    assert "it is not lost" in panel.refusal(*which, batch=batch_id, older_than="0m")

    unknown = {"operation": "batches.retrieve", "effect": {"kind": "answer", "status": 404}}
    panel.api.set_config(ServerConfig.model_validate(held | {"calls": [unknown]}))
    planned = panel.numbers(*which, batch=batch_id, older_than="0m")
    assert (planned["dry_run"], planned["requests"], planned["state"]) == (True, 12, "submitted")
    given_up = panel.numbers(*which, batch=batch_id, older_than="0m", dry_run=False)
    assert (given_up["state"], given_up["server_status"]) == ("ended", "lost")


def test_abandon_by_force(panel: Panel) -> None:
    timing = Timing.instant().model_copy(update={"finalizing_seconds": 10_000_000})
    panel.api.set_config(ServerConfig.model_validate({"timing": timing}))
    company_with(panel.desk.engine, 12, name=NAME)
    panel.start("force_batch_job", "force_batch_of_company", company=NAME, dry_run=False)
    batch_id = panel.desk.value("SELECT id FROM batch_assets.batch")
    panel.desk.do(
        "UPDATE batch_assets.batch SET submitted_at = clock_timestamp() - interval '5 days'"
    )
    which = ("abandon_batch_job", "abandon_unknown_batch")
    assert f"`batch-assets abandon {batch_id} --force` gives it up" in panel.refusal(
        *which, batch=batch_id
    )
    panel.desk.do("UPDATE batch_assets.batch SET cancelled_at = submitted_at")
    by_force = {"batch": batch_id, "force": True}
    with BatchApi("sk-test", panel.api.base_url) as api:
        remote_id = panel.desk.batch(batch_id).openai_batch_id
        wait_until(lambda: api.retrieve(remote_id).status == "finalizing")
    panel.desk.do(
        "UPDATE batch_assets.batch SET server_status = 'finalizing',"
        " server_status_since = clock_timestamp() - interval '2 days'"
    )
    planned = panel.numbers(*which, **by_force)
    assert (planned["dry_run"], planned["force"], planned["requests"]) == (True, True, 12)
    assert planned["duplicate_cost_eur"] > 0  # type: ignore[operator] # a number
    given_up = panel.numbers(*which, **by_force, dry_run=False)
    assert (given_up["state"], given_up["server_status"]) == ("ended", "abandoned")


def test_reset(panel: Panel) -> None:
    failure = Failure(FailureKind.TRANSIENT, "timeout", "no answer in time")
    for operation in (Operation.UPLOAD, Operation.CANCEL_BATCH):
        Breakers(panel.desk.engine).count(operation, failure, a_policy(breaker_failures=1), None)
    which = ("reset_breakers_job", "reset_breakers")
    everything = panel.numbers(*which)
    assert everything["operations"] == "cancel_batch, upload"
    assert Breakers(panel.desk.engine).all() == []


def test_a_chosen_mode_goes_before_the_environment_and_costs_no_statement(panel: Panel) -> None:
    def idle(**given: Any) -> tuple[dict[str, object], object]:
        result = panel.run(panel.url, base_url=panel.api.base_url, **given)
        closed = metadata_of(result, "check_row_conservation")
        return metadata_of(result, "fetch_pending_requests"), closed["statements"]

    _, before = idle(environ={"ENABLE_BATCH_OPTIMIZATION": "optimized"})
    report = panel.numbers("choose_mode_job", "choose_query_mode", mode="optimized")
    assert (report["mode"], report["is_stored"], report["mode_before"]) == (
        "optimized",
        True,
        "true",
    )
    said, statements = idle(environ={"ENABLE_BATCH_OPTIMIZATION": "false"})
    assert said["query_mode"] == "optimized"
    assert "asked for in a stored choice (run " in str(said["query_choice_reason"])
    assert statements == before

    launchpad = {"resources": {"query_strategy": {"config": {"mode": "auto"}}}}
    assert idle(run_config=launchpad)[0]["query_mode"] == "true"
    taken_back = panel.numbers("choose_mode_job", "choose_query_mode", mode="environment")
    assert (taken_back["mode"], taken_back["is_stored"]) == ("true", False)


def test_set_budget(panel: Panel) -> None:
    company_id = company_with(panel.desk.engine, 12, name=NAME)
    which = ("set_budget_job", "set_budget_of_company")
    for config, sentence in (
        ({"company": NAME}, "How much? Give eur, or clear: true"),
        ({"company": NAME, "eur": 1.0, "clear": True}, "How much?"),
        ({"company": "zorgroep", "eur": 1.0}, f"the nearest name is '{NAME}'"),
        ({"company": "", "eur": 1.0}, "Which company? Give its id or its name."),
        ({"company": "all", "clear": True}, "There is no budget of all companies for a month"),
    ):
        assert sentence in panel.refusal(*which, period="month", **config)
    said = panel.numbers(*which, company=NAME.upper(), period="month", eur=0.0)
    assert (said["set"], said["taken_back"]) == (1, 0)

    run = panel.run(panel.url, base_url=panel.api.base_url)
    held = metadata_of(run, "submit_batches")["held"]
    assert f"budget of {NAME} is 0" in str(held)
    kept = panel.desk.rows("SELECT held_by_budget_requests AS held FROM batch_assets.run_metric")
    assert [row.held for row in kept] == [12]
    raised = panel.desk.column("SELECT name FROM batch_assets.alert WHERE is_raised")
    assert raised == [f"budget_month_of_{company_id}"]
    (check,) = [one for one in run.get_asset_check_evaluations() if one.check_name == "budgets"]
    assert not check.passed
    assert NAME in str(check.metadata["behind"].value)

    assert panel.numbers(*which, company=NAME, period="month", clear=True)["taken_back"] == 1
    panel.run(panel.url, base_url=panel.api.base_url)
    assert panel.desk.value("SELECT count(*) FROM batch_assets.alert WHERE is_raised") == 0
    assert panel.desk.value("SELECT sum(requests) FROM batch_assets.batch") == 12


def test_compare(panel: Panel) -> None:
    company_with(panel.desk.engine, 12, name=NAME)
    force = ("force_batch_job", "force_batch_of_company")
    assert panel.start(*force, company=NAME, dry_run=False).success
    which = ("compare_queries_job", "compare_implementations")
    numbers = panel.numbers(*which)
    assert numbers["different"] == 0
    records = [record.data for record in numbers["compared"].records]  # type: ignore[attr-defined]
    results = {record["operation"]: record["result"] for record in records}
    assert {result.split(" (")[0] for result in results.values()} == {"same"}
    rows = {record["operation"]: record["rows"] for record in records}
    assert (rows["rows_of"], rows["statistics"]) == (12, 1)


def test_a_drain_is_begun_asked_for_again_and_lifted(panel: Panel, engine: Engine) -> None:
    """Its runs say what is left; those of the job submit nothing meanwhile."""
    company_with(engine, 2, name=NAME)
    drain = ("drain_job", "drain_batches")
    assert panel.numbers(*drain)["dry_run"] is True
    assert panel.numbers(*drain, dry_run=False)["drained"] is True
    held = panel.refusal("force_batch_job", "force_batch_of_company", company=NAME, dry_run=False)
    assert "has stopped submissions" in held
    panel.numbers(*drain, dry_run=False, resume=True)
    assert panel.numbers(*drain)["left_running"] == 0
    forced = panel.numbers("force_batch_job", "force_batch_of_company", company=NAME, dry_run=False)
    assert forced["requests"] == 2

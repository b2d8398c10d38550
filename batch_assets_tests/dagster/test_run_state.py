"""Each stage failing, in one process and in one for each op: what the run says of it is the same.

The stage that fails has done its work before. So the metrics of a run that fails are known: they
are those of all that was done. Dagster shows the op that failed as failed, and the last one.
"""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Connection, Engine, text

from batch_assets.definitions import build_definitions
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.ops import handing_on, main_path
from batch_assets.ops.handing_on import RunStateIOManager
from batch_assets.resources.company_lookup import CompanyLookupResource
from batch_assets.resources.connections import DatabaseResource, WiringResource
from batch_assets.resources.run_executor import watched
from batch_assets.stages import alerting
from batch_assets.stages import metrics as metrics_stage
from batch_assets.stages.run_state import STAGES
from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets_tests.conftest import take_configuration_away
from batch_assets_tests.dagster import prebuilt
from batch_assets_tests.dagster.conftest import answer
from batch_assets_tests.databases import TestDatabases, connected
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.one_server import ServerState
from batch_assets_tests.waiting import let_batches_end

READ, SENT = 12, 10
"""Requests whose answers wait to be read, and requests that are due."""
NOTHING = "nothing"

PLACES: dict[str, tuple[Any, str]] = {
    "check_batch_statuses": (main_path, "recover"),
    "ingest_results": (main_path, "read_abandoned"),
    "retry_failed_requests": (main_path, "retry_failed"),
    "load_companies": (CompanyLookupResource, "active"),
    "fetch_pending_requests": (main_path, "find_due"),
    "submit_batches": (main_path, "submit_due"),
    "record_metrics": (metrics_stage, "record_metrics"),
    "evaluate_checks": (alerting, "evaluate"),
    "delete_batch_files": (main_path, "delete_leftovers"),
}
"""What is called last in each op's stage."""
BRANCHES = (tuple(STAGES)[:3], tuple(STAGES)[3:])
CLOSING = ("record_metrics", "check_row_conservation", "evaluate_checks")
DELETION = "delete_batch_files"
"""The op that nobody waits for: neither the ops that close a run nor the stages."""


def sentence_of(op: str) -> str:
    return f"There is no more of {op}."


def breaking(op: str) -> Callable[..., Any]:
    """What the place of an op is replaced by: it does its work, and fails then."""
    place, name = PLACES[op]
    work = getattr(place, name)

    @wraps(work)
    def fail(*arguments: Any, **named: Any) -> Any:
        work(*arguments, **named)
        raise BatchAssetsError(sentence_of(op))

    return fail


def job_in_one_process() -> dg.JobDefinition:
    return build_definitions().resolve_job_def("batch_processing_job")


def job_in_processes(broken: str, environ: Mapping[str, str]) -> dg.JobDefinition:
    """The job with a process for each op, in which one op is broken.

    Each of them has it from the process that they are forked from, and goes by the environment of
    the process that runs the job: what connects anywhere looks there when it is needed.
    """
    if multiprocessing.parent_process() is not None:
        os.environ.update(environ)
        if broken != NOTHING:
            place, name = PLACES[broken]
            setattr(place, name, breaking(broken))
    return prebuilt.JOB


FORK_SERVER = {
    "forkserver": {
        "preload_modules": [
            "batch_assets.definitions",
            # What the ops import when they need it would else be imported by each of them.
            "batch_assets.openai_batch.connections",
            "genai_prices",
            prebuilt.__name__,
            __name__,
        ]
    }
}


class Runs:
    """The job under one executor, on an instance that all its processes share."""

    def __init__(self, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self._instance = instance
        self._monkeypatch = monkeypatch

    def in_one_process(self, broken: str, *, from_failure_of: str | None = None) -> "Told":
        if broken != NOTHING:
            place, name = PLACES[broken]
            self._monkeypatch.setattr(place, name, breaking(broken))
        job = dg.build_reconstructable_job(__name__, job_in_one_process.__name__)
        anew = from_failure_of and dg.ReexecutionOptions.from_failure(
            from_failure_of, self._instance
        )
        result = dg.execute_job(
            job,
            instance=self._instance,
            raise_on_error=False,
            reexecution_options=anew or None,
        )
        return Told(self._instance, result.run_id)

    def in_processes(self, broken: str) -> "Told":
        job = dg.build_reconstructable_job(
            __name__,
            job_in_processes.__name__,
            reconstructable_kwargs={"broken": broken, "environ": dict(os.environ)},
        )
        result = dg.execute_job(
            job,
            instance=self._instance,
            run_config={"execution": {"config": {"start_method": FORK_SERVER}}},
            raise_on_error=False,
        )
        return Told(self._instance, result.run_id)


class Told:
    """What Dagster has kept of a run."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        self.run = run
        self.events = [
            one.dagster_event for one in instance.all_logs(run_id) if one.dagster_event is not None
        ]
        self.errors = [
            one.user_message
            for one in instance.all_logs(run_id)
            if one.dagster_event is None and int(one.level) >= logging.ERROR
        ]

    def steps(self, kind: str) -> list[str]:
        """The ops of which there is such an event, in their order."""
        return [str(one.step_key) for one in self.events if one.event_type_value == kind]

    @property
    def failures(self) -> dict[str, str]:
        """The sentence of each op that Dagster shows as failed."""
        failed = {
            str(one.step_key): one.step_failure_data.user_failure_data
            for one in self.events
            if one.event_type_value == "STEP_FAILURE"
        }
        return {op: str(data.description) for op, data in failed.items() if data is not None}

    def metadata(self, op: str) -> dict[str, Any]:
        """What is shown of an op's output."""
        (event,) = [one for one in self.events if one.is_successful_output and one.step_key == op]
        return {name: entry.value for name, entry in event.step_output_data.metadata.items()}

    def evaluated(self) -> dict[str, bool]:
        said = [
            one.event_specific_data
            for one in self.events
            if one.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
        return {one.check_name: one.passed for one in said}  # type: ignore[union-attr]

    def tag(self, name: str) -> int:
        return int(self.run.tags[f"batch_assets/{name}"])


@pytest.fixture(scope="module")
def shared_instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Shared: each test's database goes by the address of the one that the first run has asked."""
    state_dir = tmp_path_factory.mktemp("batch-server") / "state"
    with running_server(state_dir, config=ServerConfig.instant(), answerer=answer) as running:
        yield running


def configure(patch: pytest.MonkeyPatch, database_url: str, base_url: str, spool: Path) -> None:
    """What stands in the environment of all processes from here."""
    for name, value in {
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": base_url,
        "BATCH_SPOOL_DIR": str(spool),
        "COMPANY_CACHE_SECONDS": "0",
    }.items():
        patch.setenv(name, value)


@pytest.fixture(scope="module")
def prepared(
    databases: TestDatabases,
    shared_instance: dg.DagsterInstance,
    module_server: RunningServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, ServerState]:
    """A database with something to read and something to send, and what the server has of it."""
    database_url = databases.clone_migrated()
    with pytest.MonkeyPatch.context() as patch:
        take_configuration_away(patch)
        configure(patch, database_url, module_server.base_url, tmp_path_factory.mktemp("spool"))
        with connected(database_url) as connection:
            make_requests(connection, make_company(connection), READ)
        assert Runs(shared_instance, patch).in_one_process(NOTHING).run.is_success
        let_batches_end(module_server.base_url)
        with connected(database_url) as connection:
            make_requests(connection, make_company(connection), SENT)
    return database_url, ServerState(module_server)


@pytest.fixture
def database_url(databases: TestDatabases, prepared: tuple[str, ServerState]) -> Iterator[str]:
    """A copy of what was prepared, on the server, too."""
    url, on_the_server = prepared
    on_the_server.put_back()
    copy = databases.copy(url)
    with connected(copy) as connection:
        # Else the files would stay for an hour, for the one that it was copied from to read.
        connection.execute(text("UPDATE batch_assets.installation SET incarnation_at = NULL"))
    yield copy
    databases.drop(copy)


@pytest.fixture
def base_url(
    database_url: str,
    module_server: RunningServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The server's address."""
    configure(monkeypatch, database_url, module_server.base_url, tmp_path / "spool")
    return module_server.base_url


@pytest.fixture
def runs(
    shared_instance: dg.DagsterInstance, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> Runs:
    """A world with something to read and something to send."""
    return Runs(shared_instance, monkeypatch)


def not_begun(broken: str) -> set[str]:
    """The ops that do nothing since this one fails before them."""
    branches = (*BRANCHES, (*BRANCHES[0][:2], DELETION))
    return {
        op for branch in branches if broken in branch for op in branch[branch.index(broken) + 1 :]
    }


def metrics_of(engine: Engine, run_id: str) -> dict[str, Any]:
    with engine.connect() as connection:
        row = connection.execute(
            text("SELECT * FROM batch_assets.run_metric WHERE run_id = :run"), {"run": run_id}
        ).one()
    return dict(row._mapping)


def left_behind(engine: Engine) -> int:
    """Of how many batches that were read to their end the files are still on the server."""
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT count(*) FILTER (WHERE files_deleted_at IS NULL) FROM batch_assets.batch "
                "WHERE requests = :read"
            ),
            {"read": READ},
        )
        return int(found.scalar_one())


def states_of(engine: Engine, run_id: str) -> list[str]:
    """The ops of which the database has what they have handed on, in the order of the stages."""
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT op FROM batch_assets.run_state WHERE run_id = :run"), {"run": run_id}
        )
        return sorted(found.scalars(), key=[*STAGES, *CLOSING].index)


@pytest.mark.parametrize("executor", ["in_one_process", "in_processes"])
@pytest.mark.parametrize("broken", [NOTHING, *PLACES])
def test_a_run_says_what_was_done_and_what_failed(
    runs: Runs, engine: Engine, executor: str, broken: str
) -> None:
    told: Told = getattr(runs, executor)(broken)

    idle = not_begun(broken)
    has_read, has_sent = "ingest_results" not in idle, "submit_batches" not in idle
    began = told.steps("STEP_START")
    assert set(began) == {*STAGES, *CLOSING, DELETION}
    if executor == "in_one_process":
        assert began[-1] == DELETION, "nobody waits for it"
    began.remove(DELETION)
    assert tuple(began[-len(CLOSING) :]) == CLOSING, "they depend on what they close"

    has_deleted = DELETION not in idle
    assert left_behind(engine) == 1 - has_deleted
    deleted = told.metadata(DELETION).get("batches_with_deleted_files")
    assert deleted == (1 if has_deleted and broken != DELETION else None)

    if broken == NOTHING:
        assert told.run.is_success
    else:
        assert told.run.is_failure
        last = {CLOSING[-1]: f"{broken}: {sentence_of(broken)}"} if broken != DELETION else {}
        assert told.failures == {broken: sentence_of(broken)} | last
        assert told.errors == [sentence_of(broken)]
        assert told.metadata(broken)["failure"] == sentence_of(broken)

    states = states_of(engine, told.run.run_id)
    assert states == ([*STAGES, *CLOSING[:-1]] if executor == "in_processes" else [])

    kept = metrics_of(engine, told.run.run_id)
    assert kept["completed_requests"] == READ * has_read
    assert kept["submitted_requests"] == SENT * has_sent
    assert kept["query_operations"] == kept["optimized_operations"] > 0
    for op, stage in STAGES.items():
        assert (kept[f"{stage}_seconds"] > 0) is (op not in idle), stage
    assert kept["run_seconds"] > max(kept[f"{stage}_seconds"] for stage in STAGES.values())
    assert kept["cost_eur"] > 0 if has_read else kept["cost_eur"] == 0

    assert (told.tag("results"), told.tag("requests")) == (READ * has_read, SENT * has_sent)
    assert told.metadata("check_row_conservation")["statements"] > 5
    assert told.evaluated()["open_rows_conserved"]
    has_judged = len(told.evaluated()) > 5
    assert has_judged is (broken != "evaluate_checks"), "the alerts are judged, too"
    assert ("delivered_alerts" in told.metadata("evaluate_checks")) is has_judged, (
        "and that is shown"
    )


def test_a_run_that_is_executed_again_from_its_failure_counts_what_it_does_itself(
    runs: Runs, shared_instance: dg.DagsterInstance, engine: Engine
) -> None:
    with pytest.MonkeyPatch.context() as during:
        failed = Runs(shared_instance, during).in_one_process("submit_batches")
    again = runs.in_one_process(NOTHING, from_failure_of=failed.run.run_id)
    assert again.run.is_success
    assert set(again.steps("STEP_START")) == {"submit_batches", *CLOSING, DELETION}
    first, second = (metrics_of(engine, told.run.run_id) for told in (failed, again))
    assert (first["completed_requests"], first["submitted_requests"]) == (READ, SENT)
    assert (second["completed_requests"], second["submitted_requests"]) == (0, 0)
    assert (again.tag("results"), again.tag("requests")) == (0, 0)


def refuse(connection: Connection, query: str, company_id: str = "") -> None:
    """Let the database refuse what a query writes, of one company or of each."""
    table, event = {"claim": ("batch", "INSERT"), "write_results": ("attempt", "UPDATE")}[query]
    connection.execute(
        text(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF '{company_id}' IN ('', NEW.company_id) THEN RAISE EXCEPTION 'no'; END IF; "
            "RETURN NEW; END $$;"
            f"CREATE TRIGGER refuse BEFORE {event} ON batch_assets.{table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    )


def test_ops_that_are_executed_again_by_their_names_count_what_they_do_themselves(
    runs: Runs, shared_instance: dg.DagsterInstance, engine: Engine
) -> None:
    first = runs.in_one_process(NOTHING)
    selected = ["submit_batches", *CLOSING]
    result = dg.execute_job(
        dg.build_reconstructable_job(__name__, job_in_one_process.__name__),
        instance=shared_instance,
        reexecution_options=dg.ReexecutionOptions(first.run.run_id, step_selection=selected),
    )
    again = Told(shared_instance, result.run_id)
    assert again.steps("STEP_START") == selected
    kept, anew = (metrics_of(engine, told.run.run_id) for told in (first, again))
    assert (kept["completed_requests"], kept["submitted_requests"]) == (READ, SENT)
    assert kept["cost_eur"] > 0
    assert kept["prompt_tokens"] > 0
    for name in ("completed_requests", "submitted_requests", "cost_eur", "prompt_tokens"):
        assert anew[name] == 0, name
    for op, stage in STAGES.items():
        assert (anew[f"{stage}_seconds"] > 0) is (op in selected), stage
    assert anew["run_seconds"] < kept["run_seconds"] + 60
    assert (again.tag("results"), again.tag("requests")) == (0, 0)


@pytest.mark.parametrize(
    ("selected", "begun"),
    [
        (["load_companies", "fetch_pending_requests", "submit_batches"], 3),
        (["*submit_batches"], 3),
        (["*submit_batches", "check_batch_statuses"], 4),
        (["*record_metrics"], 6),
        (["*check_row_conservation"], 6),
        (["*delete_batch_files"], 6),
    ],
)
def test_a_run_of_some_ops_alone_is_red_if_one_of_them_has_failed(
    runs: Runs,
    shared_instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    selected: list[str],
    begun: int,
) -> None:
    monkeypatch.setattr(*PLACES["submit_batches"], breaking("submit_batches"))
    result = job_in_one_process().execute_in_process(
        instance=shared_instance, op_selection=selected, raise_on_error=False
    )
    told = Told(shared_instance, result.run_id)
    assert told.run.is_failure
    assert told.failures == {"submit_batches": sentence_of("submit_batches")}
    assert len(told.steps("STEP_START")) == begun

    launched = dg.execute_job(
        dg.build_reconstructable_job(__name__, job_in_one_process.__name__),
        instance=shared_instance,
        op_selection=selected,
        raise_on_error=False,
    )
    told = Told(shared_instance, launched.run_id)
    assert told.run.is_failure
    assert "submit_batches" in told.failures


def test_the_ops_that_close_a_run_are_those_of_the_job() -> None:
    assert handing_on.CLOSING == CLOSING
    assert {*STAGES, *CLOSING, DELETION} == {node.name for node in job_in_one_process().nodes}


@pytest.mark.parametrize(
    ("query", "op", "done"),
    [("claim", "submit_batches", "claimed"), ("write_results", "ingest_results", "written")],
)
def test_a_run_in_which_nothing_came_of_any_company_is_red(
    runs: Runs, engine: Engine, query: str, op: str, done: str
) -> None:
    with engine.begin() as connection:
        refuse(connection, query)
    told = runs.in_one_process(NOTHING)
    assert told.run.is_failure
    sentence = (
        f"Nothing could be {done} for any company (1 company: RaiseException): this run's log and "
        "the database's say more, and the next run tries again."
    )
    assert told.failures[op] == told.metadata(op)["failure"] == sentence
    assert {*told.steps("STEP_START")} == {*STAGES, *CLOSING, DELETION}
    assert told.metadata(op)["failed"]
    assert "not_begun_after" not in told.metadata("retry_failed_requests"), "it is not kept from it"
    kept = metrics_of(engine, told.run.run_id)
    others = {"claim": ("completed_requests", READ), "write_results": ("submitted_requests", SENT)}
    name, number = others[query]
    assert kept[name] == number
    assert kept["failed_companies"] == 1
    assert told.evaluated()["open_rows_conserved"]


@pytest.mark.parametrize("query", ["claim", "write_results"])
def test_a_run_in_which_some_companies_were_left_out_is_none_that_failed(
    runs: Runs, engine: Engine, base_url: str, query: str
) -> None:
    with engine.begin() as connection:
        company = make_company(connection)
        make_requests(connection, company, SENT)
    if query == "write_results":
        assert runs.in_one_process(NOTHING).run.is_success
        let_batches_end(base_url)
    with engine.begin() as connection:
        refuse(connection, query, company)
    told = runs.in_one_process(NOTHING)
    assert told.run.is_success
    assert metrics_of(engine, told.run.run_id)["failed_companies"] == 1


def test_an_op_that_would_end_its_process_has_failed(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_arguments: Any) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(main_path, "submit_due", leave)
    told = runs.in_one_process(NOTHING)
    assert told.run.is_failure
    assert told.failures["submit_batches"].startswith("It ended with SystemExit")
    assert told.steps("STEP_START")[-2:] == [CLOSING[-1], DELETION]


def test_a_failure_that_nobody_has_foreseen_is_shown_with_its_traceback(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise ZeroDivisionError("by\nnothing")

    monkeypatch.setattr(main_path, "find_due", fail)
    told = runs.in_one_process(NOTHING)
    assert told.run.is_failure
    assert told.failures["evaluate_checks"].startswith(
        "fetch_pending_requests: It ended with ZeroDivisionError"
    )
    traceback = told.metadata("fetch_pending_requests")["traceback"]
    assert isinstance(traceback, list)
    assert "ZeroDivisionError: by" in traceback
    assert told.steps("STEP_START")[-2:] == [CLOSING[-1], DELETION]


def test_an_interruption_is_no_failure_of_a_stage(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_path, "find_due", stop)
    told = runs.in_one_process(NOTHING)
    assert told.steps("STEP_FAILURE") == ["fetch_pending_requests"]
    begun = {*told.steps("STEP_START")}
    assert not begun & {*CLOSING, DELETION}, "who ends a run waits for nothing more"


@dg.executor(name="in_containers", config_schema={"image": str})
def without_a_way_past_failures(_context: dg.InitExecutorContext) -> dg.Executor:
    raise AssertionError("It is refused before anybody makes it.")


@pytest.mark.parametrize(
    ("executor", "why"),
    [
        (dg.ExecutorDefinition(name="odd"), "it is made by no function of its own"),
        (without_a_way_past_failures, "it cannot be configured with step_dependency_config"),
        (dg.multi_or_in_process_executor, "it cannot be configured with step_dependency_config"),
    ],
)
def test_an_executor_that_is_not_supported_is_refused_when_the_code_is_loaded(
    executor: dg.ExecutorDefinition, why: str
) -> None:
    with pytest.raises(BatchAssetsError) as caught:
        build_definitions(executor=executor)
    sentence = f"The executor {executor.name} is not supported: {why}"
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("executor", [dg.in_process_executor, dg.multiprocess_executor])
def test_a_watched_executor_asks_for_what_the_one_within_asks_for(
    executor: dg.ExecutorDefinition,
) -> None:
    ours = watched(executor)
    assert ours.name == executor.name
    assert ours.get_requirements({}) == executor.get_requirements({})
    assert build_definitions(executor=executor).resolve_job_def("batch_processing_job")


def test_an_op_whose_input_is_gone_says_so(engine: Engine) -> None:
    class Opened(DatabaseResource):
        """On a test's own engine."""

        @property
        def engine(self) -> Engine:
            return engine

    manager = RunStateIOManager(database=Opened(wiring=WiringResource()))

    def of(run_id: str) -> dg.OutputContext:
        return dg.build_output_context(step_key="load_companies", name="result", run_id=run_id)

    with of("run-1") as given, dg.build_input_context(upstream_output=given) as taken:
        manager.handle_output(given, {"failure": ""})
        manager.handle_output(given, 7)
        assert manager.load_input(taken) == {"failure": ""}
    with (
        of("run-2") as other,
        dg.build_input_context(upstream_output=other) as taken,
        pytest.raises(dg.Failure) as caught,
    ):
        manager.load_input(taken)
    assert str(caught.value.description).startswith("What load_companies has handed on is gone")

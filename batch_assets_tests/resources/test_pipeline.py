"""What an op hands on of what there is to do, and who goes by it."""

import json
import random
from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import Engine

from batch_assets.domain.errors import Failure, FailureKind
from batch_assets.openai_batch.operations import Operation
from batch_assets.resources.connections import DatabaseResource, OpenAIResource
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.resources.query_strategy import QueryStrategyResource
from batch_assets.settings import load_settings
from batch_assets.stages.run_state import StageState
from batch_assets.store.breakers import Breakers
from batch_assets.store.counting import statements_sent
from batch_assets.store.drains import Drains
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import QueryMode, StoredModes
from batch_assets_tests.given_wiring import given_wiring
from batch_assets_tests.policies import a_policy

UNWELL = Failure(FailureKind.TRANSIENT, "503", "The server is not well.")


@pytest.fixture
def run(database_url: str) -> Iterator[PipelineResource]:
    """The resource of a run outside of Dagster, whose id is empty."""
    given = {
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": "sk-canary",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    }
    wiring = given_wiring(load_settings(given))
    database = DatabaseResource(wiring=wiring)
    openai = OpenAIResource(wiring=wiring)
    strategy = QueryStrategyResource(wiring=wiring, database=database)
    yield PipelineResource(wiring=wiring, database=database, openai=openai, query_strategy=strategy)
    database.engine.dispose()


def carried(state: StageState) -> StageState:
    """A state as the next op gets it, whatever brings it there."""
    return StageState.of_value(json.loads(json.dumps(state.as_value())))


def test_what_there_is_to_do_is_handed_on_whole(run: PipelineResource, engine: Engine) -> None:
    policy = a_policy()
    Drains(engine).begin("somebody")
    Breakers(engine).count(Operation.UPLOAD, UNWELL, policy, None)
    StoredModes(engine).keep(QueryMode.ORIGINAL, "somebody")
    registry = Registry(engine, policy.external_quiet_seconds)
    registry.cool_account(policy.cooldown("insufficient_quota", random.SystemRandom()))
    seen = run.read_snapshot()
    installation = seen.installation
    assert None not in (installation.drain, installation.account_cooldown, seen.stored_mode)
    assert len(seen.breakers) == 1
    before = carried(StageState(op="check_batch_statuses", began_at=0.0, snapshot=seen))
    sent = statements_sent()
    assert run.snapshot_after(before) == seen
    assert statements_sent() == sent


def test_nothing_goes_by_what_another_run_has_seen_or_where_nothing_was_handed_on(
    run: PipelineResource, engine: Engine
) -> None:
    seen = run.read_snapshot()
    assert seen.installation.drain is None
    Drains(engine).begin("somebody")
    same = StageState(op="ingest_results", began_at=0.0, snapshot=seen)
    failed = StageState(op="ingest_results", began_at=0.0, run_id="failed", snapshot=seen)
    silent = StageState(op="ingest_results", began_at=0.0)
    assert run.snapshot_after(carried(same)).installation.drain is None
    assert run.snapshot_after(carried(failed)).installation.drain is not None
    assert run.snapshot_after(carried(silent)).installation.drain is not None


def test_the_first_snapshot_spares_the_run_a_statement_for_its_mode(
    run: PipelineResource, engine: Engine
) -> None:
    StoredModes(engine).keep(QueryMode.ORIGINAL, "somebody")
    run.setup_for_execution(dg.build_init_resource_context())
    run.read_snapshot()
    sent = statements_sent()
    assert run.query_mode == QueryMode.ORIGINAL
    assert statements_sent() == sent

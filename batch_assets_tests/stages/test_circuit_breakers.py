"""Breakers around real calls: what is refused, what goes on, and what a run makes of it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from batch_assets.domain.breakers import BREAKER_OPEN
from batch_assets.domain.errors import ApiError, Failure, FailureKind, SubmissionHeldError
from batch_assets.domain.policy import Policy
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Operation
from batch_assets.stages.circuit_breakers import CircuitBreakerGuard
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.breakers import Breakers
from batch_assets.store.engine import open_engine
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import choose_queries
from batch_assets_local.batch_server import RunningServer
from batch_assets_tests.stages.support import API_KEY, QUICK, Lab, call_rule, refusal

UNWELL = Failure(FailureKind.TRANSIENT, "timeout", "no answer in time")
RUN_SECONDS = 15


NewGuard = Callable[..., CircuitBreakerGuard]
NewRun = Callable[..., Lab]


@pytest.fixture
def pipeline(engine: Engine, api: BatchApi, tmp_path: Path) -> Pipeline:
    """With one implementation: breakers know nothing of the other."""
    return Pipeline(
        queries=choose_queries(engine, optimized=True),
        registry=Registry(engine, external_quiet_seconds=900),
        api=api,
        policy=QUICK,
        spool_dir=tmp_path / "spool",
        owner="host:1",
    )


@pytest.fixture
def new_guard(engine: Engine) -> NewGuard:
    """Makes the guard of another run."""

    def make(policy: Policy = QUICK) -> CircuitBreakerGuard:
        snapshot = Registry(engine, 900).snapshot
        return CircuitBreakerGuard(Breakers(engine), policy, lambda: snapshot().breakers)

    return make


@pytest.fixture
def guard(new_guard: NewGuard) -> CircuitBreakerGuard:
    return new_guard()


@pytest.fixture
def as_a_run(lab: Lab, server: RunningServer, new_guard: NewGuard) -> Iterator[NewRun]:
    """Makes the lab of another run of the job."""
    with ExitStack() as stack:

        def make(policy: Policy = QUICK) -> Lab:
            api = BatchApi(API_KEY, server.base_url, guard=new_guard(policy))
            return lab.using(stack.enter_context(api))

        yield make


def attempt(
    guard: CircuitBreakerGuard, failure: Failure | None, operation: Operation = Operation.UPLOAD
) -> None:
    """One call that ends so."""
    with guard.attempt(operation):
        if failure is not None:
            raise ApiError(operation, failure)


def fail(guard: CircuitBreakerGuard, times: int, failure: Failure = UNWELL) -> None:
    for _ in range(times):
        with pytest.raises(ApiError) as ended:
            attempt(guard, failure)
        assert ended.value.failure is failure


def let_its_time_pass(lab: Lab) -> None:
    lab.desk.do("UPDATE batch_assets.breaker SET retry_at = clock_timestamp()")


def states(lab: Lab) -> list[tuple[str, str]]:
    return lab.desk.column_pairs("SELECT operation, state FROM batch_assets.breaker")


def test_a_run_stops_at_an_open_breaker_and_loses_nothing(
    lab: Lab, as_a_run: Callable[..., Lab]
) -> None:
    guarded = as_a_run()
    _, ids = guarded.company(7)
    one_by_one = guarded.under(max_batch_requests=1)
    one_by_one.configure(calls=[call_rule("batches.create", refusal(503), count=5)])
    with pytest.raises(ApiError) as stopped:
        one_by_one.submit()
    assert stopped.value.failure.kind is FailureKind.TRANSIENT
    assert stopped.value.failure.code == BREAKER_OPEN
    assert "`batch-assets reset create_batch`" in str(stopped.value)
    assert states(lab) == [("create_batch", "open")]
    assert guarded.bucket_counts() == {"in_batch": 5, "waiting": 2}
    assert len(guarded.batches("released")) == 2

    with pytest.raises(SubmissionHeldError, match="not asked to create batches now: 5 calls"):
        one_by_one.submit()
    assert len(guarded.batches("released")) == 2, "nothing is claimed to be given back"

    let_its_time_pass(lab)
    as_a_run().finish()
    assert states(lab) == []
    assert guarded.times_billed(ids) == [1] * 7


def test_what_is_paid_is_read_while_submission_rests(
    lab: Lab, as_a_run: Callable[..., Lab]
) -> None:
    guarded = as_a_run()
    guarded.company(2)
    guarded.submit()
    guarded.company(5)
    guarded.configure(calls=[call_rule("files.create", refusal(503))])
    one_by_one = guarded.under(max_batch_requests=1)
    assert one_by_one.submit().unresolved == 5
    assert states(lab) == [("upload", "open")]
    assert guarded.read_to_the_end().finalized == 1


def test_downloads_are_tried_again_like_any_call(lab: Lab, as_a_run: NewRun) -> None:
    guarded = as_a_run()
    guarded.company(1)
    guarded.submit()
    guarded.poll_to_the_end()
    cautious = as_a_run(replace(QUICK, breaker_failures=1))
    guarded.configure(calls=[call_rule("files.content", refusal(503), count=3)])
    cautious.ingest()
    assert states(lab) == [("download_file", "open")]
    assert cautious.ingest().finalized == 0, "not even tried: the server would answer by now"
    assert states(lab) == [("download_file", "open")]
    let_its_time_pass(lab)
    assert as_a_run().ingest().finalized == 1
    assert states(lab) == []


def test_other_runs_see_it_and_one_tries(
    guard: CircuitBreakerGuard, new_guard: NewGuard, lab: Lab
) -> None:
    fail(guard, 5)
    other = new_guard()
    with pytest.raises(ApiError, match="none is made before"):
        attempt(other, None)
    attempt(other, None, Operation.LIST_FILES)
    let_its_time_pass(lab)
    trying, late = new_guard(), new_guard()
    with (
        trying.attempt(Operation.UPLOAD),
        pytest.raises(ApiError, match="another run is trying one now"),
    ):
        attempt(late, None)
    assert states(lab) == []
    attempt(new_guard(), None)


def test_a_failed_trial_opens_it_again(new_guard: NewGuard, lab: Lab) -> None:
    fail(new_guard(), 5)
    let_its_time_pass(lab)
    trying = new_guard()
    fail(trying, 1)
    with pytest.raises(ApiError, match="6 calls in a row failed"):
        attempt(trying, None)


@pytest.mark.parametrize("ends_with", [None, UNWELL])
def test_calls_beside_a_trial_wait_for_its_end(
    ends_with: Failure | None, new_guard: NewGuard, lab: Lab
) -> None:
    fail(new_guard(), 5)
    let_its_time_pass(lab)
    guard = new_guard()
    is_trying, may_end = threading.Event(), threading.Event()

    def trial() -> None:
        with guard.attempt(Operation.UPLOAD):
            is_trying.set()
            assert may_end.wait(RUN_SECONDS)
            if ends_with is not None:
                raise ApiError("upload", ends_with)

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(trial)
        assert is_trying.wait(RUN_SECONDS)
        others = [threads.submit(attempt, guard, None) for _ in range(2)]
        may_end.set()
        ended = [one.exception(RUN_SECONDS) for one in (first, *others)]
    codes = [getattr(getattr(error, "failure", None), "code", None) for error in ended]
    expected = [None] * 3 if ends_with is None else ["timeout", BREAKER_OPEN, BREAKER_OPEN]
    assert codes == expected


@pytest.mark.parametrize(
    "failure",
    [
        Failure(FailureKind.CAPACITY, "rate_limit_exceeded", "no room"),
        Failure(FailureKind.PERMANENT, "not_found", "no such file"),
        Failure(FailureKind.ACCOUNT, "invalid_api_key", "refused"),
        Failure(FailureKind.TRANSIENT, "no_free_connection", "our own pool"),
    ],
    ids=lambda failure: failure.code,
)
def test_what_says_nothing_of_the_servers_health_is_not_counted(
    failure: Failure, guard: CircuitBreakerGuard, lab: Lab
) -> None:
    fail(guard, 6, failure)
    assert states(lab) == []


def test_only_what_changes_is_written(guard: CircuitBreakerGuard, engine: Engine, lab: Lab) -> None:
    statements: list[str] = []

    def count(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(engine, "before_cursor_execute", count)
    try:
        for _ in range(10):
            attempt(guard, None)
        assert len(statements) == 1, "the breakers are read once"
        fail(guard, 2)
        attempt(guard, None)
        attempt(guard, None)
        assert len(statements) == 4
    finally:
        event.remove(engine, "before_cursor_execute", count)


def test_a_database_that_is_gone_hides_no_outcome() -> None:
    engine = open_engine("postgresql://nobody@127.0.0.1:9/none")
    guard = CircuitBreakerGuard(Breakers(engine), QUICK, tuple)
    with guard.attempt(Operation.CREATE_BATCH):
        pass
    fail(guard, 1)
    engine.dispose()

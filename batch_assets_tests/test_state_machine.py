"""docs/state_machine.md says what the code says, and the database makes no other moves."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from batch_assets.domain.lookups import Criteria
from batch_assets.domain.states import BATCH_MOVES, REQUEST_MOVES, Move
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.remote_ids import metadata_of
from batch_assets.store.lookups import DeadLetters
from batch_assets.store.original import OriginalQueries
from batch_assets.store.registry import Registry
from batch_assets_local.batch_server import ServerConfig, running_server
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.factories import make_company, make_request, make_session
from batch_assets_tests.moves import (
    ALLOWED_OF_BATCHES,
    ALLOWED_OF_REQUESTS,
    seen_moves,
    watch_moves,
)
from batch_assets_tests.one_database import empty, one_database
from batch_assets_tests.stages.support import API_KEY, QUICK, Lab, answer, call_rule, refusal
from batch_assets_tests.stages.synchronous_support import ON, ask, dead_twins, failed, waiting
from batch_assets_tests.store.queries.support import Desk

PAGE = Path(__file__).parents[1] / "docs" / "state_machine.md"


def table_under(heading: str) -> list[tuple[str, ...]]:
    """The rows of the first table under a heading of the page, its own headings left out."""
    _, _, below = PAGE.read_text(encoding="utf-8").partition(f"### {heading}\n")
    table = re.search(r"(?:^\|.*\|\n)+", below, re.MULTILINE)
    assert table, f"no table under {heading!r}"
    headings, _, *rows = (
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in table.group().splitlines()
    )
    assert headings == ("From", "To", "Made by", "When")
    return rows


@pytest.mark.parametrize(
    ("heading", "moves"),
    [("Moves of a request", REQUEST_MOVES), ("Moves of a batch", BATCH_MOVES)],
)
def test_the_page_shows_the_moves_of_the_code(heading: str, moves: Sequence[Move]) -> None:
    assert table_under(heading) == [
        (move.source, move.target, move.made_by, move.when) for move in moves
    ]


@pytest.fixture
def lab(databases: TestDatabases, tmp_path: Path) -> Iterator[Lab]:
    """A pipeline whose database notes each move."""
    with (
        one_database(databases) as engine,
        running_server(
            tmp_path / "server", config=ServerConfig.instant(), answerer=answer
        ) as server,
        BatchApi(API_KEY, server.base_url) as api,
    ):
        empty(engine)
        watch_moves(engine)
        queries = OriginalQueries(engine)
        pipeline = Pipeline(
            queries, Registry(engine, 900), api, QUICK, tmp_path / "spool", owner="host:1"
        )
        yield Lab(pipeline, server, Desk(engine, queries))


def lose_a_live_call(lab: Lab) -> None:
    """What becomes of it is not known, and another request asks the same."""
    (called,) = failed(lab, 1)
    with lab.desk.engine.begin() as connection:
        make_request(connection, lab.desk.session_id(called))
    waiting(lab, 0)
    lab.configure(calls=[call_rule("chat", refusal(500, work_done=True), count=1)])
    lab.under(synchronous=ON).retry_failed()
    lab.configure()


def reset_what_is_put_off(lab: Lab) -> None:
    """LiveDash resets a request that is to be retried, and it goes back there."""
    (reset,) = failed(lab, 1)
    lab.desk.do(
        'UPDATE public."AIProcessingRequest"'
        " SET \"processingStatus\" = 'PENDING_BATCHING' WHERE id = :id",
        id=reset,
    )
    waiting(lab, 0)


def test_the_stages_make_every_move_and_no_other(lab: Lab) -> None:
    # Lines of every kind, a batch that expires, and sessions that can never be sent.
    company_id, _ = lab.company(4)
    lab.more(company_id, 1, messages=0)
    lab.configure(
        rows=[
            {"lines": [1], "effect": {"kind": "http_error", "status": 500}},
            {"lines": [2], "effect": {"kind": "http_error", "status": 400}},
        ],
        batches=[{"end_as": "expired", "after_rows": 3, "count": 1}],
    )
    lab.submit()
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"retry": 1, "dead": 2, "complete": 1, "waiting": 1}
    # A refused upload, a refused create, and both with their answers lost.
    for call in ("files.create", "batches.create"):
        for effect in (refusal(400), {"kind": "drop", "work": "done"}):
            lab.company(1)
            lab.configure(calls=[call_rule(call, effect)])
            lab.submit()
            lab.desk.do("DELETE FROM batch_assets.model_cooldown")
    # A batch that was created, with nothing recorded: as after a restored database.
    lab.configure()
    lab.company(1)
    (claimed, *_) = lab.claim()
    file = lab.pipeline.spool_dir / "by-hand.jsonl"
    file.write_text("{}\n")
    file_id = lab.pipeline.api.upload(file, "by-hand.jsonl")
    metadata = metadata_of(lab.desk.holder.installation_id, claimed.id)
    lab.pipeline.api.create_batch(file_id, metadata, 3_600)
    lab.desk.do("UPDATE batch_assets.batch SET lease_owner = NULL, lease_expires_at = NULL")
    # The same is asked twice, of a conversation and of one that can never be sent.
    with lab.desk.engine.begin() as connection:
        other = make_company(connection)
        for messages in (4, 0):
            session_id = make_session(connection, other, messages=messages)
            make_request(connection, session_id)
            make_request(connection, session_id)
    lab.finish()

    assert "waiting" not in lab.bucket_counts()
    assert "in_batch" not in lab.bucket_counts()
    # An operator asks for what has died, and for what LiveDash itself has failed with.
    with lab.desk.engine.begin() as connection:
        session_id = make_session(connection, company_id)
        make_request(connection, session_id, status="PROCESSING_FAILED")
    letters = DeadLetters(lab.desk.engine)
    asked = letters.requeue(Criteria(company_id=company_id), external=True)
    assert (asked.requeued, asked.external) == (2, 1)

    # Failed requests are sent synchronously: those that an operator asks for, and one that is late.
    live = lab.under(synchronous=ON)
    lose_a_live_call(lab)
    dead_twins(lab)
    reset_what_is_put_off(lab)
    failed(lab.under(max_attempts=1), 1)
    ask(lab, lab.desk.column("SELECT request_id FROM batch_assets.dead_letter"))
    failed(lab, 1)
    live.retry_failed()

    assert seen_moves(lab.desk.engine, "request") == ALLOWED_OF_REQUESTS
    assert seen_moves(lab.desk.engine, "batch") == ALLOWED_OF_BATCHES

"""Where a claim stops, and how far the trouble of one company goes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.packing import LINE_BYTES_PER_MESSAGE
from batch_assets.domain.policy import Policy
from batch_assets.store.counting import Tally, count_statements, counted_into
from batch_assets.store.original import OriginalQueries
from batch_assets.store.protocol import Spent
from batch_assets.store.strategy import choose_queries
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import Desk, terms


@contextmanager
def refusing(desk: Desk, company_id: str) -> Iterator[None]:
    """Let the database refuse every attempt of one company."""
    with desk.engine.begin() as connection:
        connection.exec_driver_sql(
            "ALTER TABLE batch_assets.attempt"
            f" ADD CONSTRAINT refusing CHECK (company_id <> '{company_id}')"
        )
    try:
        yield
    finally:
        desk.do("ALTER TABLE batch_assets.attempt DROP CONSTRAINT refusing")


@pytest.mark.parametrize(
    ("policy", "companies"),
    [
        (a_policy(batches_per_claim=2), 2),
        (a_policy(rows_per_claim=7), 3),
        (a_policy(rows_per_claim=6), 2),
        (a_policy(bytes_per_claim=1), 1),
        (a_policy(bytes_per_claim=5 * 1_000), 2),
        (a_policy(), 5),
    ],
    ids=["batches", "rows", "rows to the last", "bytes at once", "bytes", "nothing to stop it"],
)
def test_a_claim_stops_when_it_has_enough(desk: Desk, policy: Policy, companies: int) -> None:
    ids = [desk.company(3)[0] for _ in range(5)]
    claim = desk.claim(*ids, policy=policy)
    assert [batch.company_id for batch in claim.batches] == ids[:companies]
    assert claim.remaining == tuple(ids[companies:])
    assert desk.value("SELECT count(*) FROM batch_assets.intake") == 3 * (5 - companies)


def test_a_claim_that_has_enough_leaves_the_rest_of_a_company_to_the_next(desk: Desk) -> None:
    company_id, _ = desk.company(7)
    other, _ = desk.company(2)
    policy = a_policy(max_batch_requests=3, rows_per_look=3, rows_per_claim=5)
    claim = desk.claim(company_id, other, policy=policy)
    assert [batch.requests for batch in claim.batches] == [3, 3]
    assert claim.remaining == (company_id, other)
    rest = desk.claim(*claim.remaining, policy=policy)
    assert [(batch.company_id, batch.requests) for batch in rest.batches] == [
        (company_id, 1),
        (other, 2),
    ]
    assert rest.remaining == ()


def test_no_look_and_no_claim_cuts_a_batch(desk: Desk) -> None:
    company_id, _ = desk.company(17)
    policy = a_policy(max_batch_requests=7, rows_per_look=3, rows_per_claim=5)
    sent = []
    while True:
        claim = desk.claim(company_id, policy=policy)
        sent.append([batch.requests for batch in claim.batches])
        if not claim.remaining:
            break
    assert sent == [[7], [7], [3]]


def test_a_look_that_reads_no_further_than_a_batch_leaves_open_ones_to_the_next(
    desk: Desk,
) -> None:
    company_id, _ = desk.company(11)
    policy = a_policy(max_batch_requests=4, rows_per_look=6)
    claim = desk.claim(company_id, policy=policy)
    assert [batch.requests for batch in claim.batches] == [4, 4, 3]
    assert claim.remaining == ()


def test_each_of_several_models_fills_its_batches(desk: Desk) -> None:
    company_id, _ = desk.company(0)
    for _ in range(7):
        desk.more(company_id, 1)
        desk.more(company_id, 1, model="gpt-4.1")
        desk.more(company_id, 1, model="gpt-4.1-mini")
    claim = desk.claim(company_id, policy=a_policy(max_batch_requests=5, rows_per_look=5))
    assert sorted((batch.model, batch.requests) for batch in claim.batches) == [
        ("gpt-4.1", 2),
        ("gpt-4.1", 5),
        ("gpt-4.1-mini", 2),
        ("gpt-4.1-mini", 5),
        ("gpt-4o-mini", 2),
        ("gpt-4o-mini", 5),
    ]


def test_batches_that_end_at_their_bytes_are_filled_from_look_to_look(desk: Desk) -> None:
    company_id, _ = desk.company(20, messages=[("user", "x" * 872)])
    in_file = 872 + LINE_BYTES_PER_MESSAGE + terms().sizes_of("", "").overhead_bytes
    policy = a_policy(max_batch_requests=6, max_batch_bytes=4 * in_file, rows_per_look=1)
    claim = desk.claim(company_id, policy=policy)
    assert [batch.requests for batch in claim.batches] == [4] * 5


def test_what_exceeds_a_claim_is_left_to_the_next(desk: Desk) -> None:
    company_id, _ = desk.company(9)
    policy = a_policy(max_batch_requests=2, rows_per_claim=3)
    claim = desk.claim(company_id, policy=policy)
    assert [batch.requests for batch in claim.batches] == [2, 2]
    assert claim.remaining == (company_id,)


def test_a_model_whose_allowance_is_used_up_rests_for_all_that_follow(desk: Desk) -> None:
    companies = [desk.company(2)[0] for _ in range(3)]
    other = desk.more(companies[2], 1, model="gpt-4.1")
    claim = desk.claim(*companies, policy=a_policy(token_allowances={"gpt-4o-mini": 600}))
    assert [(batch.company_id, batch.model) for batch in claim.batches] == [
        (companies[0], "gpt-4o-mini"),
        (companies[2], "gpt-4.1"),
    ]
    assert claim.held == {"model gpt-4o-mini is in cooldown: its token allowance is used up": 5}
    assert claim.remaining == ()
    assert desk.statuses(other) == {"BATCHING_IN_PROGRESS"}


def test_the_database_refusing_one_company_does_not_touch_anothers_work(engine: Engine) -> None:
    desk = Desk(engine, OriginalQueries(engine))
    first, bad, last = (desk.company(2)[0] for _ in range(3))
    with refusing(desk, bad):
        claim = desk.claim(first, bad, last)
    assert claim.failed == {bad: "CheckViolation"}
    assert [batch.company_id for batch in claim.batches] == [first, last]
    assert claim.remaining == ()
    assert desk.value('SELECT count(*) FROM public."AIBatchRequest"') == 2
    assert desk.value("SELECT count(*) FROM batch_assets.intake") == 2
    assert [batch.company_id for batch in desk.claim(bad).batches] == [bad]


def test_a_claim_for_all_at_once_leaves_nothing_behind_when_it_is_refused(engine: Engine) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    first, bad = (desk.company(2)[0] for _ in range(2))
    before = desk.everything()
    with refusing(desk, bad), pytest.raises(DBAPIError):
        desk.claim(first, bad)
    assert desk.everything() == before


def test_a_lost_connection_is_nobodys_trouble_and_ends_the_claim(engine: Engine) -> None:
    desk = Desk(engine, OriginalQueries(engine))
    company_id, _ = desk.company(2)
    desk.do(
        "CREATE FUNCTION batch_assets.hang_up() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END'"
    )
    desk.do(
        "CREATE TRIGGER hang_up BEFORE INSERT ON batch_assets.attempt"
        " EXECUTE FUNCTION batch_assets.hang_up()"
    )
    try:
        with pytest.raises(DBAPIError) as lost:
            desk.claim(company_id)
        assert lost.value.connection_invalidated
    finally:
        desk.do("DROP TRIGGER hang_up ON batch_assets.attempt")
        desk.do("DROP FUNCTION batch_assets.hang_up()")


def statements(desk: Desk, *company_ids: str, policy: Policy) -> int:
    """How many statements one claim sends, BEGIN and COMMIT among them."""
    count_statements(desk.engine)
    holder, tally = desk.holder, Tally()
    with counted_into(tally):
        desk.queries.claim(company_ids, terms(policy), holder, Spent())
    return tally.statements


IN_THREE_LOOKS = a_policy(rows_per_look=13, max_batch_requests=10)


@pytest.mark.parametrize(("looks", "policy"), [(1, a_policy()), (3, IN_THREE_LOOKS)])
def test_a_claim_for_all_at_once_sends_two_statements_a_look(
    engine: Engine, looks: int, policy: Policy
) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    ids = [desk.company(4)[0] for _ in range(8)]
    always = len(["BEGIN", "begin_claim", "used", "COMMIT"])
    assert statements(desk, *ids, policy=policy) == always + 2 * looks
    # The second time there is nothing left.
    assert statements(desk, *ids, policy=policy) == always + 1


def test_what_rests_is_counted_once_in_a_claim_for_all_at_once(engine: Engine) -> None:
    desk = Desk(engine, choose_queries(engine, optimized=True))
    ids = [desk.company(4)[0] for _ in range(8)]
    desk.do(
        "INSERT INTO batch_assets.model_cooldown (model, until, reason)"
        " VALUES ('gpt-4.1', clock_timestamp() + interval '1 hour', 'token_limit_exceeded')"
    )
    desk.more(ids[0], 2, model="gpt-4.1")
    assert statements(desk, *ids, policy=IN_THREE_LOOKS) == 4 + 2 * 3 + 1

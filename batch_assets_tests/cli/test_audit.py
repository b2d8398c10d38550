"""`batch-assets audit`: everything fits, or the exit code and a table say that it does not."""

import json

import psycopg

from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.databases import connected
from batch_assets_tests.factories import make_company, make_requests

NAME = "Zorggroep [bold]Oost"


def test_what_does_not_fit_is_shown_and_ends_with_1(typed: Type, database_url: str) -> None:
    configured = {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY}
    with connected(database_url) as connection:
        ids = make_requests(connection, make_company(connection, name=NAME), 3)
    clean = typed("audit", **configured)
    assert (clean.code, clean.err) == (0, "")
    assert NAME in clean.out
    assert "Each request is in exactly one bucket" in clean.out
    document = json.loads(typed("audit", "--json", **configured).out)
    assert (document["adds_up"], document["violations"]) == (True, [])
    assert (document["totals"]["rows"], document["totals"]["waiting"]) == (3, 3)

    with psycopg.connect(database_url) as connection:
        connection.execute(
            'UPDATE "AIProcessingRequest" SET "processingStatus" = \'BATCHING_IN_PROGRESS\''
            " WHERE id = %s",
            [ids[1]],
        )
    broken = typed("audit", **configured)
    assert (broken.code, broken.err) == (1, "")
    assert "in_batch_without_batch: 1" in broken.out
    assert ids[1] in broken.out
    assert "has 3 rows, and the buckets hold 2." in broken.out
    again = typed("audit", "--json", **configured)
    assert again.code == 1
    assert json.loads(again.out)["violations"][0]["ids"] == [ids[1]]


def test_what_livedash_has_done_is_a_warning(typed: Type, database_url: str) -> None:
    configured = {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY}
    with connected(database_url) as connection:
        (request_id,) = make_requests(connection, make_company(connection, name=NAME), 1)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO batch_assets.dead_letter"
            " (request_id, company_id, attempts, failure_kind, code, reason)"
            " VALUES (%s, 'c', 1, 'permanent', 'refused', 'Refused.')",
            [request_id],
        )
    said = typed("audit", **configured)
    assert said.code == 0
    assert "dead_overtaken: 1 (a warning)" in said.out
    assert "Each request is in exactly one bucket" not in said.out


def test_costs_that_differ_are_named_and_end_with_1(typed: Type, database_url: str) -> None:
    configured = {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY}
    with connected(database_url) as connection:
        company_id = make_company(connection, name=NAME)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO batch_assets.batch (id, installation_id, company_id, model, state,"
            " requests, openai_batch_id, server_status, server_status_since, claimed_at,"
            " submitted_at, ended_at, finalized_at, cost_eur)"
            " SELECT 'b1', 'i', %s, 'gpt-4o-mini', 'finalized', 0, 'b1', 'completed', now(),"
            " '2026-11-03 12:00+00', now(), now(), now(), 0.25",
            [company_id],
        )
    broken = typed("audit", **configured)
    assert (broken.code, broken.err) == (1, "")
    where = f"2026-11-03, company {company_id}, model gpt-4o-mini"
    assert f"cost_eur of {where}: the batches say 0.25, their attempts 0." in broken.out
    assert "If nobody changed rows" in broken.out
    document = json.loads(typed("audit", "--json", **configured).out)
    (found,) = document["cost_differences"]
    assert (found["comparison"], found["figure"]) == ("batches_and_attempts", "cost_eur")
    assert (found["first"], found["second"], found["ids"]) == (0.25, 0, ["b1"])
    assert document["totals"]["cost_differences"] == 1

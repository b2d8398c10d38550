"""`batch-assets companies`: what runs go by, and how a change is seen at once."""

import json
from pathlib import Path

import psycopg
import pytest

from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.databases import connected
from batch_assets_tests.factories import make_company

NAME = "Zorggroep [bold]Oost"


@pytest.fixture
def configured(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": KEY,
        "BATCH_SPOOL_DIR": str(tmp_path / "spool"),
    }


def listed(typed: Type, configured: dict[str, str], *options: str) -> list[str]:
    outcome = typed("companies", "--json", *options, **configured)
    assert (outcome.code, outcome.err) == (0, "")
    return [company["name"] for company in json.loads(outcome.out)["active_companies"]]


def test_it_shows_what_runs_go_by_until_it_is_told_to_ask(
    typed: Type, configured: dict[str, str]
) -> None:
    assert "0 companies are active" in typed("companies", **configured).out
    with connected(configured["DATABASE_URL"]) as connection:
        company_id = make_company(connection, name=NAME)
        make_company(connection, name="Archived", status="ARCHIVED")
    assert listed(typed, configured) == []

    refreshed = typed("companies", "--refresh", **configured)

    assert refreshed.code == 0
    assert NAME in refreshed.out
    assert company_id in refreshed.out
    assert "1 company is active" in refreshed.out
    assert listed(typed, configured) == [NAME]
    known = typed("companies", **configured)
    assert "That was the answer 0 s ago" in known.out or "That was the answer 1 s ago" in known.out
    assert "--refresh` asks for a new one" in known.out


def test_what_is_wrong_with_the_file_is_said_on_stderr(
    typed: Type, configured: dict[str, str]
) -> None:
    with psycopg.connect(configured["DATABASE_URL"]) as connection:
        connection.execute("SELECT 1")
    directory = Path(configured["BATCH_SPOOL_DIR"]) / "companies"
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    outcome = typed("companies", **configured)
    assert outcome.code == 0
    assert "the directory is open to other users" in outcome.err
    refused = typed("companies", "--refresh", **configured)
    assert refused.code == 1
    assert "the directory is open to other users" in refused.err

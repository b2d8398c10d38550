"""The samples read like real conversations, and a database is filled with them just once."""

import gzip
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from batch_assets.domain.errors import ConfigurationError
from batch_assets.store.tables.base import SESSION_CATEGORIES
from batch_assets_local.samples import (
    SampleSession,
    SeedSummary,
    load_conversations,
    sample_companies,
    sample_sessions,
    seed_database,
)
from batch_assets_local.samples.scenarios import LANGUAGES, phrasebook

NOW = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)
# Placeholders, choices, doubled blanks or a blank before a full stop: a template that broke.
BROKEN = re.compile(
    r"\[|\]|\{(?!\")|(?<!\")\}(?!\.)|\||  | \.|^\s|\s$|\(maybe\)|\(or\)|^[EB]:", re.M
)


@pytest.fixture(scope="module")
def sessions() -> list[SampleSession]:
    return list(sample_sessions(now=NOW))


def test_companies_differ_in_size_and_one_is_suspended() -> None:
    companies = sample_companies()
    assert len({company.id for company in companies}) == len(companies) >= 6
    assert len({company.sessions for company in companies}) == len(companies)
    assert Counter(company.status for company in companies) == {
        "ACTIVE": len(companies) - 1,
        "SUSPENDED": 1,
    }


def test_each_company_has_its_sessions(sessions: list[SampleSession]) -> None:
    assert len(sessions) >= 300
    assert Counter(session.company_id for session in sessions) == {
        company.id: company.sessions for company in sample_companies()
    }
    assert len({session.id for session in sessions}) == len(sessions)


def test_all_categories_and_languages_occur(sessions: list[SampleSession]) -> None:
    expected = [session.expected for session in sessions if session.expected]
    assert {each.category for each in expected} == set(SESSION_CATEGORIES)
    assert {each.language for each in expected} == set(LANGUAGES)
    assert {each.sentiment for each in expected} == {"POSITIVE", "NEUTRAL", "NEGATIVE"}
    assert sum(each.escalated for each in expected) > 10
    assert sum(each.forwarded_hr for each in expected) > 20
    assert len({question for each in expected for question in each.questions}) > 20
    asked = sum(bool(each.questions) for each in expected)
    assert 0.9 * len(expected) < asked < len(expected), "some have nothing to ask"


@pytest.mark.parametrize("language", ["nl", "en", "de", "fr", "es"])
def test_the_larger_languages_have_scenarios_for_every_category(language: str) -> None:
    scenarios = phrasebook(language).scenarios
    assert {scenario.category for scenario in scenarios} == set(SESSION_CATEGORIES)
    assert len({scenario.id for scenario in scenarios}) == len(scenarios) >= 12


@pytest.mark.parametrize("seed", [1, 20, 21])
def test_no_two_conversations_are_the_same(seed: int) -> None:
    told = Counter(
        (session.company_id, tuple(message.content for message in session.messages))
        for session in sample_sessions(seed, now=NOW)
    )
    assert set(told.values()) == {1}


@pytest.mark.parametrize("seed", range(5))
def test_no_message_shows_that_it_was_made_from_a_pattern(seed: int) -> None:
    for session in sample_sessions(seed, now=NOW):
        for message in session.messages:
            assert message.content
            assert not BROKEN.search(message.content), message.content


def test_conversations_are_short_and_long_and_one_is_missing(
    sessions: list[SampleSession],
) -> None:
    lengths = Counter(len(session.messages) for session in sessions)
    assert lengths[0] == 1
    assert lengths[2] > 5
    assert max(lengths) >= 20


def test_messages_follow_each_other_and_ended_before_now(sessions: list[SampleSession]) -> None:
    for session in sessions:
        moments = [one.timestamp for one in session.messages if one.timestamp]
        assert [session.start, *moments] == sorted([session.start, *moments])
        assert not any(moment.microsecond for moment in [session.start, *moments])
        assert [one.order for one in session.messages] == list(range(len(session.messages)))
        assert session.end == moments[-1] if moments else not session.messages
        assert NOW - timedelta(days=8) < session.start < session.end < NOW - timedelta(minutes=31)


def test_messages_are_the_lines_of_a_transcript_as_livedash_reads_them(
    sessions: list[SampleSession],
) -> None:
    messages = [message for session in sessions for message in session.messages]
    assert {message.role for message in messages} == {"user", "assistant", "unknown"}
    for message in messages:
        assert (message.role == "unknown") == (message.timestamp is None)
        assert message.content == message.content.strip()
        assert "\n" not in message.content
        assert "<" not in message.content, "a mark of what is asked is not said"


def test_the_same_seed_gives_the_same_sessions_and_another_seed_others(
    sessions: list[SampleSession],
) -> None:
    assert list(sample_sessions(now=NOW)) == sessions
    others = {session.id for session in sample_sessions(99, now=NOW)}
    assert others.isdisjoint(session.id for session in sessions)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        next(sample_sessions(now=NOW.replace(tzinfo=None)))


def test_seeding_writes_what_livedash_would_and_a_second_time_nothing(
    database_url: str, sessions: list[SampleSession]
) -> None:
    requests = len(sessions)
    messages = sum(len(session.messages) for session in sessions)
    summary = seed_database(database_url, now=NOW)
    again = seed_database(database_url, now=NOW + timedelta(hours=1))
    assert summary == SeedSummary(len(sample_companies()), len(sessions), messages, requests)
    assert again == SeedSummary(0, 0, 0, 0)
    with psycopg.connect(database_url) as connection:
        fresh = connection.execute(
            'SELECT count(*) FROM public."AIProcessingRequest" WHERE'
            ' "processingStatus" = \'PENDING_BATCHING\' AND NOT success AND "batchId" IS NULL'
            ' AND "totalTokens" = 0 AND "totalCostEur" = 0 AND "completedAt" IS NULL'
            " AND \"processingType\" = 'session_analysis'"
        ).fetchone()
        stages = connection.execute(
            'SELECT "stage"::text, "status"::text, count(*), count("startedAt"),'
            ' count("completedAt"), max("metadata"::text) IS NOT NULL'
            ' FROM public."SessionProcessingStatus" GROUP BY 1, 2 ORDER BY 1'
        ).fetchall()
        untimely = connection.execute(
            'SELECT count(*) FROM public."Session" AS s'
            ' JOIN public."Message" AS m ON m."sessionId" = s."id"'
            ' JOIN public."AIProcessingRequest" AS r ON r."sessionId" = s."id"'
            ' WHERE m."timestamp" NOT BETWEEN s."startTime" AND s."endTime"'
            ' OR m."createdAt" NOT BETWEEN s."endTime" AND r."requestedAt"'
            ' OR s."messagesSent" IS NOT NULL OR s."language" IS NOT NULL'
        ).fetchone()
        priced = connection.execute(
            'SELECT m."name", round(1e8 * p."promptTokenCost") FROM public."AIModel" AS m'
            ' LEFT JOIN public."AIModelPricing" AS p ON p."aiModelId" = m."id" ORDER BY 1'
        ).fetchall()
        silent = connection.execute(
            'SELECT count(*) FROM public."Session" AS s WHERE NOT EXISTS'
            ' (SELECT FROM public."Message" AS m WHERE m."sessionId" = s."id")'
        ).fetchone()
    assert fresh == (requests,)
    assert priced == [("gpt-4.1-mini", 40), ("gpt-4o-mini", 15), ("gpt-5-mini", None)]
    assert silent == (1,)
    assert untimely == (0,)
    everyone = len(sessions)
    assert stages == [
        ("AI_ANALYSIS", "IN_PROGRESS", everyone, everyone, 0, False),
        ("CSV_IMPORT", "COMPLETED", everyone, 0, everyone, False),
        ("QUESTION_EXTRACTION", "PENDING", everyone, 0, 0, False),
        ("SESSION_CREATION", "COMPLETED", everyone, everyone, everyone, True),
        ("TRANSCRIPT_FETCH", "COMPLETED", everyone, everyone, everyone, True),
    ]


def test_a_failed_seeding_leaves_nothing_behind(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute('ALTER TABLE public."AIProcessingRequest" RENAME TO "Elsewhere"')
        with pytest.raises(psycopg.errors.UndefinedTable):
            seed_database(connection, now=NOW)
        assert connection.execute('SELECT count(*) FROM public."Company"').fetchone() == (0,)


def test_conversations_of_a_file_are_dealt_to_the_companies(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "conversations.jsonl.gz"
    lines = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    rows = [{"id": f"c{number}", "topic": ["x"], "messages": lines} for number in range(7)]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    with psycopg.connect(database_url) as connection:
        assert load_conversations(path, connection, 3, now=NOW) == SeedSummary(3, 7, 14, 7)
        assert load_conversations(path, connection, 3, now=NOW) == SeedSummary(0, 0, 0, 0)
        shares = connection.execute(
            'SELECT count(*) FROM public."Session" GROUP BY "companyId" ORDER BY 1'
        ).fetchall()
    assert shares == [(2,), (2,), (3,)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no file of conversations"),
        (b"plain text", "gzipped text file"),
        (gzip.compress(b'{"id": "a", "messages": []}\n{"secret canary"'), "Line 2 of"),
        (gzip.compress(b'{"id": "a", "messages": [{"role": "user"}]}'), "Line 1 of"),
        (gzip.compress(b'{"id": "a", "messages": [{"role": "x", "content": 5}]}'), "Line 1 of"),
    ],
    # What gzip makes begins with the time of day: no two workers would call these tests the same.
    ids=["missing", "plain", "no JSON", "no content", "a number"],
)
def test_a_file_that_cannot_be_read_is_explained(
    database_url: str, tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "conversations.jsonl.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        load_conversations(path, database_url)
    assert "canary" not in str(caught.value)

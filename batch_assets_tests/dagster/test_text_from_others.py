"""A company with the worst of names goes through the jobs: what Dagster keeps and tells is text."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import dagster as dg
import pytest
from markdown_it import MarkdownIt
from sqlalchemy import create_engine, text

from batch_assets.store.urls import application_url
from batch_assets_local.batch_server import ServerConfig, running_server
from batch_assets_tests.dagster.conftest import job_runner
from batch_assets_tests.dagster.reading import evaluations
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.factories import make_company, make_requests, make_run_metric
from batch_assets_tests.hostile_text import ALL_AT_ONCE, MARK, hidden_in, texts_in
from batch_assets_tests.openai_batch.scripted_server import Reply, ScriptedServer

SETTINGS = {
    "BATCH_ALERT_THRESHOLD_NEW_DEAD_LETTERS": "1",
    "BATCH_ALERT_THRESHOLD_DEAD_LETTERS": "1",
    "BATCH_ALERT_THRESHOLD_DAY_COST_EUR": "0",
    "BATCH_ALERT_THRESHOLD_ERROR_RATE": "0",
}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Dagster's own, on the console."""
WORD_JOINER = "\u2060"
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@dataclass
class Told:
    """What the runs have left."""

    runs: dict[str, dg.ExecuteInProcessResult] = field(default_factory=dict)
    entries: dict[str, list[dg.EventLogEntry]] = field(default_factory=dict)
    tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    console: str = ""


@pytest.fixture(scope="module")
def told(
    databases: TestDatabases,
    tmp_path_factory: pytest.TempPathFactory,
    listening_server: tuple[ScriptedServer, str],
) -> Iterator[Told]:
    place = tmp_path_factory.mktemp("text-from-others")
    url = databases.clone_migrated()
    receiver, address = listening_server
    receiver.answer(Reply())
    logs = {"managed_python_loggers": ["batch_assets.stages"], "python_log_level": "INFO"}
    found, said = Told(), StringIO()
    with (
        redirect_stderr(said),
        running_server(place / "server", config=ServerConfig.instant()) as api,
        dg.instance_for_test(overrides={"python_logs": logs}) as instance,
    ):
        company_id = _fill(url)
        run = job_runner(instance, place / "spool")
        environ = SETTINGS | {"BATCH_ALERT_WEBHOOK_URL": address}

        def start(name: str, op: str = "", job: str = "", **config: Any) -> None:
            run_config = {"ops": {op: {"config": config}}} if op else None
            result = run(
                url,
                job_name=job or name,
                base_url=api.base_url,
                environ=environ,
                run_config=run_config,
            )
            found.runs[name] = result
            records = instance.get_records_for_run(result.run_id, limit=10_000).records
            found.entries[name] = [record.event_log_entry for record in records]
            kept = instance.get_run_by_id(result.run_id)
            assert kept is not None
            found.tags[name] = kept.tags

        force, cancel = "force_batch_of_company", "cancel_batch_on_server"
        start("force", force, "force_batch_job", company=ALL_AT_ONCE)
        start("batch_processing_job")
        start("cancel", cancel, "cancel_batch_job", batch=_a_batch(url))
        start("read", job="batch_processing_job")
        start("requeue", "requeue_requests", "requeue_job", company=company_id)
        start("refused", "requeue_requests", "requeue_job", ids=[ALL_AT_ONCE])
        start("audit_job")
        start("report_job")
        found.bodies = [json.loads(call.body) for call in receiver.calls]
        found.console = said.getvalue()
        yield found
    databases.drop(url)


def _fill(url: str) -> str:
    """Requests that are answered, that ask for what nobody knows, and that are dead letters."""
    engine = create_engine(application_url(url), connect_args={"prepare_threshold": None})
    with engine.begin() as connection:
        company_id = make_company(connection, name=ALL_AT_ONCE, company_id=f"c{MARK}\x1b[2J\u202e")
        make_requests(connection, company_id, 8)
        make_requests(connection, company_id, 3, processing_type=ALL_AT_ONCE[:50])
        make_requests(connection, company_id, 3, model=ALL_AT_ONCE[-50:])
        make_requests(connection, company_id, 2, prefix="dead\x1b[2J")
        make_run_metric(connection, {"completed_requests": 10, "failed_requests": 90})
        connection.execute(
            text("UPDATE batch_assets.installation SET confirmed_at = CURRENT_TIMESTAMP")
        )
    engine.dispose()
    return company_id


def _a_batch(url: str) -> str:
    engine = create_engine(application_url(url))
    with engine.connect() as connection:
        batch = connection.execute(text("SELECT b.id FROM batch_assets.batch AS b LIMIT 1"))
        found = str(batch.scalar_one())
    engine.dispose()
    return found


def test_all_jobs_went_through_but_the_one_that_is_refused(told: Told) -> None:
    assert [name for name, run in told.runs.items() if not run.success] == ["refused"]


def test_every_entry_of_the_log_is_text_on_a_line(told: Told) -> None:
    named = set()
    for name, entries in told.entries.items():
        for entry in entries:
            # Where an asset shows Markdown, the word joiner keeps the UI from seeing a link.
            shows = entry.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION
            allowed = f"\n{WORD_JOINER}" if shows else "\n"
            for one in texts_in(json.loads(dg.serialize_value(entry))):
                assert hidden_in(one, allowed=allowed) == [], (name, one)
                assert "\nERROR" not in one, (name, one)
                if MARK in one:
                    named.add(name)
    assert named == told.runs.keys()


def test_what_the_console_shows_steers_no_terminal(told: Told) -> None:
    said = COLOURS.sub("", told.console)
    assert said.count(MARK) > 5
    assert hidden_in(said, allowed="\n") == []


def test_the_tags_of_a_run_are_text(told: Told) -> None:
    tags = {name: dict(tags) for name, tags in told.tags.items()}
    assert all(MARK in tags[name]["batch_assets/company"] for name in ("force", "cancel"))
    assert [hidden_in(one) for one in texts_in(tags) if hidden_in(one)] == []


@pytest.mark.parametrize("name", ["read", "audit_job"])
def test_what_a_check_says_in_markdown_names_nobody(told: Told, name: str) -> None:
    said = evaluations(told.runs[name])
    for check, one in said.items():
        assert MARK not in str(one.description), check
        assert set(_tags(str(one.description))) <= {"p", "code"}, check
    if name != "audit_job":
        behind = {check for check, one in said.items() if MARK in repr(one.metadata)}
        assert behind >= {"error_rate", "dead_letters"}, "the metadata, which is text, does"


def test_what_the_webhook_is_sent_is_text(told: Told) -> None:
    assert {body["name"] for body in told.bodies if MARK in body["summary"]} >= {
        "dead_letters",
        "failed_batch",
        "cost_above_budget",
    }
    for body in told.bodies:
        assert [hidden_in(one, WORD_JOINER + "\n") for one in texts_in(body)] == [[]] * len(
            list(texts_in(body))
        )
        said, *others = body["text"].split("\n")
        for one in (body["summary"], *body["behind"], said):
            assert set(_tags(one)) == {"p"}, one
        assert len(others) == 1
        assert set(_tags(others[0])) <= {"p", "code"}
        for command in ("@channel", "<!", "http://", "www.", "]("):
            assert command not in body["text"] + body["summary"] + str(body["behind"])


def _tags(markdown: str) -> list[str]:
    """What a renderer that lets HTML through makes of it."""
    return re.findall(r"<(\w+)", RENDERER.render(markdown))

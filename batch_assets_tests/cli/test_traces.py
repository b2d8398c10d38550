"""Traces of a run, as a collector is sent them: read by OpenTelemetry's own protobuf classes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from sqlalchemy import Engine

from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets_tests.cli.conftest import KEY
from batch_assets_tests.cli.dev_program import free_port
from batch_assets_tests.factories import make_company, make_requests

TEXT = "How many days of leave have I got?"


class Collector(ThreadingHTTPServer):
    """Takes whatever is posted, and keeps the headers and bodies."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[tuple[dict[str, str], bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for _, body in self.taken]

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests()
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((dict(self.headers.items()), body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with listening(Collector()) as opened:
        yield opened


@contextmanager
def listening(server: Collector) -> Iterator[Collector]:
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def waiting(engine: Engine, database_url: str) -> str:
    """The company of a request that waits; it is due, since it has waited for long."""
    create_dagster_schema(database_url)
    with engine.begin() as connection:
        company_id = make_company(connection, name="Zorggroep Oost")
        make_requests(connection, company_id, 1, messages=[("user", TEXT)], age=timedelta(hours=10))
    return company_id


def test_a_run_is_one_trace_of_its_stages_and_their_calls(
    configured: dict[str, str], waiting: str, collector: Collector
) -> None:
    tracing = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-token=collectors-own",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "batch_assets.cli", "run"],
        env={**os.environ, **configured, **tracing},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = re.search(r"Run ([0-9a-f-]{36}) succeeded", ended.stdout)
    assert found is not None
    spans = collector.spans()
    assert {span.trace_id.hex() for span in spans} == {found[1].replace("-", "")}
    stages = {span.span_id: span.name for span in spans if span.kind == Span.SPAN_KIND_INTERNAL}
    assert {"submit_batches", "ingest_results", "record_metrics"} <= set(stages.values())
    calls = {
        (stages.get(span.parent_span_id), span.name)
        for span in spans
        if span.kind == Span.SPAN_KIND_CLIENT
    }
    assert {("submit_batches", "upload"), ("submit_batches", "create_batch")} <= calls
    (named,) = {
        attribute.value.string_value
        for request in collector.requests()
        for one in request.resource_spans
        for attribute in one.resource.attributes
        if attribute.key == "service.name"
    }
    assert named == "batch_assets"
    headers = collector.taken[0][0]
    assert headers["x-token"] == "collectors-own"
    everything = b"".join(body for _, body in collector.taken)
    for secret in (KEY, TEXT, waiting, "Zorggroep Oost"):
        assert secret.encode() not in everything


FAILING = """
import logging
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.openai_batch.operations import Operation
from batch_assets.openai_batch.spans import call_span
from batch_assets.telemetry.tracing import flush_traces, mark_failed, stage_span, start_tracing

logging.basicConfig()
start_tracing()
with stage_span("submit_batches", "") as span:
    try:
        with call_span(Operation.UPLOAD):
            failure = Failure(FailureKind.TRANSIENT, "connection_failed", "a text of the server's")
            raise ApiError(Operation.UPLOAD, failure)
    except ApiError:
        mark_failed(span, "The server does not answer.")
flush_traces()
"""


def fail(endpoint: str) -> str:
    """What is said of a stage that has failed, where this is the collector."""
    ended = subprocess.run(
        [sys.executable, "-c", FAILING],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout + ended.stderr


def test_what_fails_is_marked_with_its_code_and_sentence(collector: Collector) -> None:
    assert fail(collector.address) == ""
    call, stage = collector.spans()
    assert call.parent_span_id == stage.span_id
    assert {call.status.code, stage.status.code} == {Status.STATUS_CODE_ERROR}
    assert [(one.key, one.value.string_value) for one in call.attributes] == [
        ("error.type", "connection_failed")
    ]
    assert (call.status.message, len(call.events)) == ("", 0)
    assert stage.status.message == "The server does not answer."


def test_a_collector_that_is_gone_is_one_line_without_its_path() -> None:
    said = fail(f"http://127.0.0.1:{free_port()}/geheim")
    assert said.count("\n") == 1
    assert "2 spans were not delivered" in said
    assert "geheim" not in said


def test_without_an_endpoint_the_sdk_is_not_loaded() -> None:
    program = (
        "import sys; from batch_assets.telemetry.tracing import start_tracing; start_tracing();"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    plain = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    assert subprocess.run([sys.executable, "-c", program], env=plain, check=False).returncode == 0

"""Traces of stages and API calls, for an OTLP endpoint: without one nothing is loaded or sent.

The environment names the endpoint, as OpenTelemetry's specification has it
(`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME` and others). All
stages of a run are one trace, whatever process they run in: its id is that of Dagster's run.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from uuid import UUID

from opentelemetry import context as contexts
from opentelemetry import trace

from batch_assets.domain.display import escaped
from batch_assets.domain.logs import open_log

if TYPE_CHECKING:
    from batch_assets.telemetry.otlp import Tracing

log = open_log(__name__)

SERVICE: Final = "batch_assets"
"""The name under which traces appear, unless OTEL_SERVICE_NAME says another."""
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN: Final = "http/protobuf"
_EXPORT_SECONDS: Final = 5
"""What one delivery may take, so that no run waits longer for its last one."""

_tracer = trace.get_tracer(SERVICE)


def start_tracing() -> None:
    """Send spans of this process to the endpoint that the environment names, if it names one."""
    _tracing()


def flush_traces() -> None:
    """Deliver what waits, or give up after a few seconds: no run fails for its trace."""
    if (tracing := _tracing()) is None:
        return
    tracing.provider.force_flush(_EXPORT_SECONDS * 1_000)
    if lost := tracing.exporter.take_lost():
        log.warning(
            "%d spans were not delivered: see whether a collector answers at %s.",
            lost,
            next(name for name in ENDPOINTS if os.environ.get(name)),
        )


@contextmanager
def stage_span(stage: str, run_id: str) -> Iterator[trace.Span]:
    """The span of a stage; calls that are made meanwhile are under it."""
    with _tracer.start_as_current_span(
        stage, _of_run(run_id), attributes={"dagster.run_id": run_id}
    ) as span:
        yield span


def mark_failed(span: trace.Span, failure: str) -> None:
    """Say of a stage's span that it has failed, and why, if it has."""
    if failure:
        span.set_status(trace.StatusCode.ERROR, escaped(failure))


def _of_run(run_id: str) -> contexts.Context | None:
    """The context of the run's trace; that of the caller if it is no run of Dagster's."""
    try:
        number = UUID(run_id).int
    except ValueError:
        return None
    parent = trace.SpanContext(
        trace_id=number,
        span_id=number >> 64,
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


@lru_cache(maxsize=1)
def _tracing() -> "Tracing | None":
    """What sends spans; the SDK is loaded only if they are wanted."""
    if not is_configured(os.environ):
        return None
    from batch_assets.telemetry.otlp import open_tracing  # noqa: PLC0415 (see above)

    return open_tracing(SERVICE, _EXPORT_SECONDS)


def is_configured(environ: Mapping[str, str]) -> bool:
    """Whether traces are wanted; a protocol that is not spoken is said, and nothing is sent."""
    if not any(environ.get(name) for name in ENDPOINTS):
        return False
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), _SPOKEN)
    if protocol != _SPOKEN:
        log.warning("Traces are not sent: of OTLP only %s is spoken.", _SPOKEN)
    return protocol == _SPOKEN

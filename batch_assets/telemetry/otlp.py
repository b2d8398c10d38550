"""Spans on their way to an OTLP endpoint; loads OpenTelemetry's SDK and an HTTP library."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

_QUOTING: Final = "opentelemetry.exporter"
"""Its records quote the endpoint's path, which may hold a secret."""

_NO_NAME: Final = "unknown_service"


class CountingExporter(OTLPSpanExporter):
    """Counts the spans that nobody has taken."""

    lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Deliver some spans, trying again within the time of one delivery."""
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.lost += len(spans)
        return result

    def take_lost(self) -> int:
        """How many were lost since this was asked last."""
        lost, self.lost = self.lost, 0
        return lost


@dataclass(frozen=True)
class Tracing:
    """What sends the spans of this process."""

    provider: TracerProvider
    exporter: CountingExporter


def open_tracing(service: str, export_seconds: float) -> Tracing:
    """Let all spans of this process go to the endpoint that the environment names.

    They are from `service`, unless the environment says another name.
    """
    logging.getLogger(_QUOTING).setLevel(logging.CRITICAL)
    exporter = CountingExporter(timeout=export_seconds)
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith(_NO_NAME):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return Tracing(provider, exporter)

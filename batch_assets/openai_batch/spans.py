"""The spans of API calls, for whoever collects traces; nothing where nobody does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace

from batch_assets.domain.errors import ApiError
from batch_assets.openai_batch.operations import Operation

_tracer: Final = trace.get_tracer("batch_assets.openai_batch")


@contextmanager
def call_span(operation: Operation) -> Iterator[None]:
    """The span of one call, its repetitions and the reading of its answer included.

    It says the operation, and of a call that fails the code: neither an id nor a text. What is done
    meanwhile is not under it, since a download goes on while its lines are used.
    """
    span = _tracer.start_span(operation, kind=trace.SpanKind.CLIENT)
    try:
        yield
    except ApiError as error:
        span.set_attribute("error.type", error.failure.code)
        span.set_status(trace.StatusCode.ERROR)
        raise
    finally:
        span.end()

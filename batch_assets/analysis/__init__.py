"""What is asked of the model and what is made of its answer.

The other packages use the names below; what lies behind them is in `docs/processing_types.md`.
"""

from batch_assets.analysis.answer import read_answer, read_partial_answer
from batch_assets.analysis.processing_types import is_known, known_type, shown_if_unknown
from batch_assets.analysis.request import (
    MESSAGE_OVERHEAD_BYTES,
    expected_completion_tokens,
    most_completion_tokens,
    overhead_bytes,
    prompt_tokens,
    request_body,
    request_json,
    schema_tokens,
)

__all__ = [
    "MESSAGE_OVERHEAD_BYTES",
    "expected_completion_tokens",
    "is_known",
    "known_type",
    "most_completion_tokens",
    "overhead_bytes",
    "prompt_tokens",
    "read_answer",
    "read_partial_answer",
    "request_body",
    "request_json",
    "schema_tokens",
    "shown_if_unknown",
]

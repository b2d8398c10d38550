"""What the Batch API allows, and what this project asks of it, where a profile says no other.

The figures are OpenAI's published hard limits (Batch guide and OpenAPI description). What an
account may enqueue on top of them depends on its tier and is a setting, not a constant.
"""

from typing import Final

ENDPOINT: Final = "/v1/chat/completions"

MAX_REQUESTS = 50_000
"""Requests in one input file."""

MAX_FILE_BYTES = 200_000_000
"""Bytes of one input file: "200 MB", read as the smaller of its two meanings."""

MAX_RESULT_BYTES = 1_000_000_000
"""Bytes of a result file that are read: twice what OpenAI keeps in one file."""

MAX_LINE_BYTES = 16_000_000
"""Bytes of one line of it: many times what a model can answer."""

MAX_ANSWER_BYTES = 8_000_000
"""Bytes of a batch, or of a page of a list; a batch can hold an error for each of its lines."""

MAX_COMPLETION_BYTES = 2_000_000
"""Bytes of the answer to a live call."""

MAX_SMALL_ANSWER_BYTES = 1_000_000
"""Bytes of any other answer."""

MAX_JSON_VALUES = 500_000
"""Values in one JSON text: each takes many times more memory than its text."""

MAX_PAGES = 500
"""Pages of one listing."""

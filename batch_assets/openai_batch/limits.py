"""What the Batch API allows, and what this project asks of it.

The figures are OpenAI's published hard limits (Batch guide and OpenAPI description). What an
account may enqueue on top of them depends on its tier and is a setting, not a constant.
"""

from typing import Final, Literal

ENDPOINT: Final[Literal["/v1/chat/completions"]] = "/v1/chat/completions"
COMPLETION_WINDOW: Final[Literal["24h"]] = "24h"

MAX_REQUESTS = 50_000
"""Requests in one input file."""

MAX_FILE_BYTES = 200_000_000
"""Bytes of one input file: "200 MB", read as the smaller of its two meanings."""

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

MAX_BATCHES_PER_HOUR = 2_000
MAX_METADATA_KEYS = 16
MAX_METADATA_KEY_LENGTH = 64
MAX_METADATA_VALUE_LENGTH = 512

MIN_OUTPUT_EXPIRES_SECONDS = 3_600
MAX_OUTPUT_EXPIRES_SECONDS = 2_592_000

_BYTES_PER_TOKEN = 3


def tokens(byte_count: int) -> int:
    """About how many prompt tokens `byte_count` bytes of UTF-8 JSON are, rounded up.

    English prose has some 4 bytes a token, other Latin scripts, JSON and ids nearer to 3. The
    estimate guards an allowance and a spending cap, where too many is a smaller batch and too few
    is a refused one: so 3. What is charged is counted by the server.
    """
    return -(-byte_count // _BYTES_PER_TOKEN)

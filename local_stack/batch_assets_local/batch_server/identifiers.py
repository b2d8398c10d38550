"""Ids in OpenAI's forms: random ones for objects, derived ones for the rows of a batch.

What belongs to a row is derived from the batch's id and the row's line, so that a row that is
computed again after a crash carries the same ids as the first time.
"""

import secrets
import string
from dataclasses import dataclass
from hashlib import blake2b

_ALPHABET = string.ascii_letters + string.digits


def new_batch_id() -> str:
    """`batch_` and 32 hexadecimal digits."""
    return f"batch_{secrets.token_hex(16)}"


def new_file_id() -> str:
    """`file-` and 22 letters or digits."""
    return "file-" + "".join(secrets.choice(_ALPHABET) for _ in range(22))


def new_request_id() -> str:
    """`req_` and 32 hexadecimal digits: what every answer carries in `x-request-id`."""
    return f"req_{secrets.token_hex(16)}"


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone: the die of faults and estimates."""
    return int.from_bytes(_digest(*parts)[:8], "big") / 2**64


def fingerprint(model: str) -> str:
    """The `system_fingerprint` that a model answers with."""
    return "fp_" + _digest("fingerprint", model).hex()[:10]


@dataclass(frozen=True, slots=True)
class RowIds:
    """The ids of one answered row; `seed` is what its token estimates depend on."""

    seed: str
    request: str
    http_request: str
    completion: str


def row_ids(*parts: object) -> RowIds:
    """The ids of the row that the parts name, usually a batch's id and a line number."""
    digest = _digest(*parts).hex()
    return RowIds(
        seed=digest,
        request=f"batch_req_{digest[:32]}",
        http_request=digest[32:64],
        completion=f"chatcmpl-{digest[64:93]}",
    )


def shuffle_key(batch_id: str, line: int, copy: int) -> int:
    """Where a result line stands in its file: a signed 64-bit number, as SQLite sorts them."""
    return int.from_bytes(_digest("order", batch_id, line, copy)[:8], "big", signed=True)


def _digest(*parts: object) -> bytes:
    text = "\x1f".join(str(part) for part in parts)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=48).digest()

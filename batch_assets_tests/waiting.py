"""The local Batch API server works while nothing is measured, and only answers calls meanwhile."""

import time
from typing import Any, Final

import httpx2

from batch_assets.domain.errors import LocalStackError

_MOST_SECONDS = 600.0
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


def _config(validation_seconds: float) -> dict[str, Any]:
    return {
        "timing": {
            "validation_seconds": validation_seconds,
            "processing_seconds": 0,
            "finalizing_seconds": 0,
            "cancel_seconds": 0,
        },
        "limits": {"batches_per_hour": 1_000_000},
    }


HOLDING: Final = _config(validation_seconds=24 * 3600)
"""A configuration of the server under which batches are taken, and run later."""
_RUNNING: Final = _config(validation_seconds=0)


def let_batches_end(base_url: str) -> None:
    """Have the server run every batch that it has, and return when they have ended."""
    give_up_at = time.monotonic() + _MOST_SECONDS
    control = f"{base_url.removesuffix('/v1')}/_local"
    with httpx2.Client(trust_env=False, timeout=60) as client:
        client.put(f"{control}/config", json=_RUNNING).raise_for_status()
        while _has_running(client.get(f"{control}/summary").raise_for_status().json()):
            if time.monotonic() > give_up_at:
                raise LocalStackError("The local Batch API server does not end its batches.")
            time.sleep(0.1)
        client.put(f"{control}/config", json=HOLDING).raise_for_status()


def _has_running(summary: dict[str, Any]) -> bool:
    batches: dict[str, int] = summary["batches"]
    return any(count for status, count in batches.items() if status not in _ENDED)

"""The servers that can be played, each as one record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Server = Literal[
    "openai", "azure", "azure-dated", "dashscope", "groq", "together", "openrouter", "compatible"
]


@dataclass(frozen=True, slots=True)
class Played:
    """What is strict about a server, and in which words it answers."""

    path: str = "/v1"
    """Where its API begins."""
    purpose: str = "batch"
    uploads: str = "/files"
    endpoint: str = "/v1/chat/completions"
    windows: tuple[str, ...] = ("24h",)
    lines_say_where: bool = True
    """Whether a line must have `method` and `url`; else it must not."""
    expires: bool = True
    """Whether a batch ends with its window."""
    takes_files: bool = True
    is_dated: bool = False
    """Whether each call must have `api-version`, and the key in the header `api-key`."""
    camel_codes: bool = False
    wraps_job: bool = False
    """Whether a new batch is the `job` of its answer."""
    has_bare_lists: bool = False
    """Whether a list of batches has nothing around it, and all of them at once."""
    has_iso_dates: bool = False
    quirks: Mapping[str, Any] = field(default_factory=dict)
    """Which quirks it has as long as the configuration names no others."""


_AZURE_QUIRKS = {
    "empty_error_file": True,
    "empty_string_file_ids": True,
    "file_processing_seconds": 2,
    "lists": {"oldest_first": True},
}
_LOUD = (
    "validating",
    "in_progress",
    "finalizing",
    "completed",
    "failed",
    "expired",
    "cancelled",
)

PLAYED: Mapping[Server, Played] = {
    "openai": Played(),
    "compatible": Played(),
    "azure": Played(
        path="/openai/v1",
        endpoint="/chat/completions",
        expires=False,
        camel_codes=True,
        quirks=_AZURE_QUIRKS,
    ),
    "azure-dated": Played(
        path="/openai",
        endpoint="/chat/completions",
        expires=False,
        is_dated=True,
        camel_codes=True,
        quirks=_AZURE_QUIRKS,
    ),
    "dashscope": Played(
        path="/compatible-mode/v1",
        windows=("24h", "48h", "72h", "168h", "336h"),
        quirks={"unknown_parameters": ("output_expires_after",)},
    ),
    "groq": Played(
        path="/openai/v1",
        windows=("24h", "7d"),
        quirks={
            "unknown_parameters": ("output_expires_after",),
            "lists": {"ignore_after": True},
        },
    ),
    "together": Played(
        purpose="batch-api",
        uploads="/files/upload",
        lines_say_where=False,
        wraps_job=True,
        has_bare_lists=True,
        has_iso_dates=True,
        quirks={
            "unknown_parameters": ("output_expires_after", "metadata"),
            "omit_batch_fields": ("metadata", "request_counts", "usage"),
            "rename_status": {status: status.upper() for status in _LOUD}
            | {"cancelling": "CANCELING"},
        },
    ),
    "openrouter": Played(path="/api/v1", takes_files=False),
}


def with_usual_quirks(document: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the quirks that are usual on the server that it plays."""
    played = PLAYED.get(document.get("plays", "openai"))
    given = document.get("quirks", {})
    if played is None or not played.quirks or not isinstance(given, Mapping):
        return dict(document)
    return {**document, "quirks": {**played.quirks, **given}}

"""What servers were seen to do beside the book; all off, as OpenAI is on a good day."""

from typing import Any, Literal

from pydantic import Field

from batch_assets_local.batch_server.config_base import Count, Seconds, Settings

BatchField = Literal["request_counts", "usage", "model", "errors", "metadata", "expires_at"]

Parameter = Literal["metadata", "output_expires_after", "expires_after"]


class Late(Settings):
    """What comes late: so many seconds after the batch's end, and after so many looks at it."""

    seconds: Seconds = 0
    looks: Count = 0


class ListQuirks(Settings):
    """How lists mislead. Foreign items stand first, and are shown as they are given here."""

    are_empty: bool = False
    oldest_first: bool = False
    ignore_after: bool = False
    without_file_ids: bool = False
    foreign_batches: tuple[dict[str, Any], ...] = ()
    foreign_files: tuple[dict[str, Any], ...] = ()
    most_files: Count = 10_000


class Quirks(Settings):
    """Each by its name; docs/local_server.md explains them."""

    empty_error_file: bool = False
    empty_string_file_ids: bool = False
    string_bodies: bool = False
    errors_in_output_file: bool = False
    errors_without_response: bool = False
    unescaped_unicode: bool = False
    omit_batch_fields: tuple[BatchField, ...] = ()
    null_batch_fields: tuple[BatchField, ...] = ()
    zero_request_counts: bool = False
    rename_status: dict[str, str] = Field(default_factory=dict)
    moves_on_retrieve: bool = False
    unknown_parameters: tuple[Parameter, ...] = ()
    file_processing_seconds: Seconds = 0
    without_date: bool = False
    output_file_lag_seconds: Seconds = 0
    late_output_file: Late = Late()
    late_error_file: Late = Late()
    batch_list_lag_seconds: Seconds = 0
    file_list_lag_seconds: Seconds = 0
    lists: ListQuirks = ListQuirks()

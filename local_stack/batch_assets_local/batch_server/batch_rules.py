"""Fates of batches: which are refused in validation, end early, or do not end."""

from typing import Literal

from pydantic import Field

from batch_assets_local.batch_server.chances import Chance, Pattern
from batch_assets_local.batch_server.config_base import Count, Seconds, Settings


class ListedError(Settings):
    """One entry of a failed batch's `errors.data`; what is unset is null there."""

    code: str | None = None
    message: str | None = None
    param: str | None = None
    line: int | None = None


class BatchRule(Chance):
    """A fate decided when a batch is created, for those whose metadata has all of `metadata`.

    With `model` it strikes only batches whose first line asks for this model. `failed` strikes in
    validation: with the listed `errors`, with none at all (null) if `without_errors`, else with
    `code` and `message`; with `custom_id` only a batch that has such a row, and with `name_lines`
    it says which lines these are. The others end the batch once `after_rows` rows have run;
    `stalled` leaves it in progress then, until it is cancelled or its window is over: or in
    `finalizing` or `cancelling`, where nothing else ends it. It goes on after `stalled_seconds`,
    never without; what it `survives` does not end it either.
    """

    metadata: dict[str, str] = Field(default_factory=dict)
    model: str | None = None
    end_as: Literal["failed", "expired", "cancelled", "stalled"]
    after_rows: Count = 0
    stalls_in: Literal["in_progress", "finalizing", "cancelling"] = "in_progress"
    stalled_seconds: Seconds | None = None
    survives: tuple[Literal["cancel", "window"], ...] = ()
    code: str = "invalid_request"
    message: str = "The batch failed because a rule of the local server says so."
    errors: tuple[ListedError, ...] = ()
    without_errors: bool = False
    custom_id: Pattern | None = None
    name_lines: bool = False

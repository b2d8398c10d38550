"""How the server behaves: keys, timing, limits, quirks and faults, as one typed document.

The same document is the file `config.json` of the state directory and the body of
`PUT /_local/config`. Unknown settings are refused, so that a misspelt fault never passes for a
fault that did not strike. docs/local_server.md explains each with examples.
"""

from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from batch_assets.domain.errors import ConfigurationError
from batch_assets_local.batch_server.batch_rules import BatchRule
from batch_assets_local.batch_server.config_base import Count, Seconds, Settings
from batch_assets_local.batch_server.fault_rules import CallRule, RowRule
from batch_assets_local.batch_server.models import Model
from batch_assets_local.batch_server.profiles.played import (
    PLAYED,
    Played,
    Server,
    with_usual_quirks,
)
from batch_assets_local.batch_server.quirks import Quirks


class Keys(Settings):
    """Which API keys are let in. With `accepted` unset any key is, but those listed below.

    A key of another project is let in, and finds nothing that was made under the others.
    """

    accepted: tuple[str, ...] | None = None
    refused: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    without_quota: tuple[str, ...] = ()
    of_another_project: tuple[str, ...] = ()


class Timing(Settings):
    """How long the stations of a batch's life last, whatever the batch's size.

    `clock_offset_seconds` lets time pass; by `clock_skew_seconds` the server's clock is wrong, in
    all that it shows, the `Date` of its answers included.
    """

    validation_seconds: Seconds = 0.5
    processing_seconds: Seconds = 1.5
    finalizing_seconds: Seconds = 0.5
    cancel_seconds: Seconds = 0.5
    completion_window_seconds: Seconds = 86_400
    hold_after_rows: Count | None = None
    clock_offset_seconds: float = 0
    clock_skew_seconds: float = 0

    @classmethod
    def instant(cls) -> Self:
        """No waiting anywhere: a batch is done as soon as its rows are computed."""
        return cls(
            validation_seconds=0, processing_seconds=0, finalizing_seconds=0, cancel_seconds=0
        )


class Limits(Settings):
    """OpenAI's limits. `enqueued_tokens` is by model name; `*` is for every other model."""

    max_requests: Count = 50_000
    max_input_bytes: Count = 200 * 1024 * 1024
    max_file_bytes: Count = 512 * 1024 * 1024
    batches_per_hour: Count = 2_000
    enqueued_tokens: dict[str, Count] = Field(default_factory=dict)


class ExtraModel(Settings):
    """A model that this server shall know beside the usual ones."""

    id: str
    snapshot: str | None = None
    context_window: Count = 128_000
    max_output: Count = 16_384
    reasoning: bool = False

    def model(self) -> Model:
        """As the catalog holds it."""
        return Model(
            id=self.id,
            snapshot=self.snapshot or self.id,
            context_window=self.context_window,
            max_output=self.max_output,
            reasoning=self.reasoning,
        )


class ServerConfig(Settings):
    """The whole document; every part may be left out.

    With `plays` it is on the wire like that server, and has the quirks that are usual there.
    """

    plays: Server = "openai"
    keys: Keys = Keys()
    timing: Timing = Timing()
    limits: Limits = Limits()
    quirks: Quirks = Quirks()
    models: tuple[ExtraModel, ...] = ()
    calls: tuple[CallRule, ...] = ()
    batches: tuple[BatchRule, ...] = ()
    rows: tuple[RowRule, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _as_usual_there(cls, document: Any) -> Any:
        return with_usual_quirks(document) if isinstance(document, dict) else document

    @property
    def played(self) -> Played:
        """The server that is played."""
        return PLAYED[self.plays]

    @classmethod
    def instant(cls, **parts: object) -> Self:
        """A configuration for tests: no waiting, and the parts that are given."""
        return cls.model_validate({"timing": Timing.instant(), **parts})


def parse_config(document: bytes | str) -> ServerConfig:
    """Read a JSON document; what is wrong becomes one sentence that names the settings."""
    try:
        return ServerConfig.model_validate_json(document)
    except ValidationError as error:
        places = (
            f"{'.'.join(str(part) for part in detail['loc']) or 'the document'}: {detail['msg']}"
            for detail in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(
            f"The local server's configuration is not valid ({'; '.join(places)}); "
            "see docs/local_server.md for what is allowed."
        ) from None

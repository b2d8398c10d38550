"""How the server behaves: keys, timing, limits, quirks and faults, as one typed document.

The same document is the file `config.json` of the state directory and the body of
`PUT /_local/config`, which replaces it while the server runs. Unknown settings are refused, so that
a misspelt fault never passes for a fault that did not strike. docs/local_server.md explains each
with examples.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from batch_assets.domain.errors import ConfigurationError
from batch_assets_local.batch_server.fault_rules import (
    BatchRule,
    CallRule,
    Count,
    RowRule,
    Seconds,
    Settings,
)
from batch_assets_local.batch_server.models import Catalog, Model
from batch_assets_local.batch_server.profiles.played import (
    PLAYED,
    Played,
    Server,
    with_usual_quirks,
)

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
    """Read a JSON document.

    Raises:
        ConfigurationError: it is not valid; one sentence names the settings.
    """
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


CONFIG_NAME = "config.json"
KEY_NAME = "key"
"""A file of the state directory. Where it exists, the key in it is the only one that is let in."""


class ReloadableConfig:
    """Holds the configuration, its model catalog and the clock that it can put forward."""

    def __init__(self, state_dir: Path) -> None:
        """Read `config.json` of the state directory; without one the defaults hold."""
        self._path = state_dir / CONFIG_NAME
        self._listeners: list[Callable[[], None]] = []
        config = ServerConfig()
        if self._path.exists():
            config = parse_config(self._path.read_bytes())
        self._use(config)
        key_file = state_dir / KEY_NAME
        self.only_key = key_file.read_text(encoding="ascii") if key_file.exists() else None

    def _use(self, config: ServerConfig) -> None:
        self.current = config
        self.catalog = Catalog(extra.model() for extra in config.models)

    def replace(self, config: ServerConfig) -> None:
        """Put another configuration in force, on disk (atomically) and then in memory."""
        document = config.model_dump_json(indent=2, exclude_defaults=True)
        write_atomically(self._path, document + "\n")
        self._use(config)
        for listener in self._listeners:
            listener()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call the listener, in the changing thread, after each change."""
        self._listeners.append(listener)

    def now(self) -> float:
        """The server's Unix time, put forward by `timing.clock_offset_seconds`."""
        return self.shown_now() + self.current.timing.clock_offset_seconds

    def shown_now(self) -> float:
        """Unix time as the header `Date` has it: off by `timing.clock_skew_seconds`."""
        return time.time() + self.current.timing.clock_skew_seconds


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content so that readers see the old text or the new, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    draft.replace(path)

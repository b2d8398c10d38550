"""Which implementation of the database operations an operator chooses for all runs."""

from dataclasses import dataclass
from typing import Final

from batch_assets.domain.errors import ConfigurationError
from batch_assets.store.strategy import QueryMode, StoredMode, StoredModes

ENVIRONMENT: Final = "environment"
"""The word that takes a choice back."""


@dataclass(frozen=True)
class ModeReport:
    """How it was, and how it is now."""

    before: StoredMode | None
    """`None`: the environment said."""
    now: StoredMode | None
    environment: QueryMode
    """What the environment says."""

    @property
    def mode(self) -> QueryMode:
        """The mode of the next run."""
        return self.environment if self.now is None else self.now.mode

    @property
    def sentence(self) -> str:
        """Which mode runs use, and who says so."""
        used = f"Runs use {self.mode.meaning}"
        if self.now is None:
            return f"{used}: ENABLE_BATCH_OPTIMIZATION says {self.environment}."
        return (
            f"{used}: {self.now.asked_in} says {self.mode}, which goes before "
            f"ENABLE_BATCH_OPTIMIZATION, which says {self.environment}."
        )


def read_mode(modes: StoredModes, environment: QueryMode) -> ModeReport:
    """How it is; changes nothing."""
    stored = modes.read()
    return ModeReport(before=stored, now=stored, environment=environment)


def choose_mode(modes: StoredModes, environment: QueryMode, wanted: str, who: str) -> ModeReport:
    """Let runs from the next one on use this mode, or with `environment` what that says.

    Raises `ConfigurationError` for a mode that there is not.
    """
    mode = None if wanted == ENVIRONMENT else _mode(wanted)
    before = modes.read()
    now = None
    if mode is None:
        modes.forget()
    else:
        now = modes.keep(mode, who)
    return ModeReport(before=before, now=now, environment=environment)


def _mode(wanted: str) -> QueryMode:
    try:
        return QueryMode(wanted)
    except ValueError:
        words = ", ".join([*QueryMode, ENVIRONMENT])
        raise ConfigurationError(f"There is no mode '{wanted}': it is one of {words}.") from None

"""Whether all is well: the words in which `doctor` and `status` say it, and their exit codes."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from batch_assets.domain.alerts.records import Severity
from batch_assets.domain.errors import BatchAssetsError


class Health(StrEnum):
    """How something is, from the best to the worst."""

    WELL = "well"
    ATTENTION = "attention"
    """It works, and somebody should look at it: something waits for a person, or will fail."""
    NOT_WELL = "not well"
    """Work or money is being lost, or nothing goes on."""

    @property
    def exit_code(self) -> int:
        """What a probe is told."""
        return _EXIT_CODES[self]


_ORDER: Final = list(Health)
_EXIT_CODES: Final = {Health.WELL: 0, Health.ATTENTION: 10, Health.NOT_WELL: 11}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has found."""

    about: str
    """What was looked at."""
    health: Health
    said: str
    """One sentence or more."""
    remedy: str = ""
    """What a person does about it; empty where nothing is wrong."""

    @classmethod
    def well(cls, about: str, said: str) -> Self:
        """Nothing is wrong."""
        return cls(about, Health.WELL, said)

    @classmethod
    def attention(cls, about: str, said: str, remedy: str) -> Self:
        """Somebody should look at it."""
        return cls(about, Health.ATTENTION, said, remedy)

    @classmethod
    def not_well(cls, about: str, said: str, remedy: str) -> Self:
        """It has to be put right."""
        return cls(about, Health.NOT_WELL, said, remedy)

    @classmethod
    def of_sentence(cls, about: str, health: Health, sentence: str) -> Self:
        """Take a sentence apart that says first what is wrong and, after a colon, what to do."""
        said, colon, remedy = sentence.rpartition(": ")
        if not colon:
            return cls(about, health, sentence)
        return cls(about, health, f"{said}.", remedy[:1].upper() + remedy[1:])


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing is submitted now, what to do about it, and how bad that is."""

    why: str
    """One sentence or more."""
    remedy: str
    health: Health = Health.NOT_WELL

    @property
    def reason(self) -> str:
        """Both as one text, for a log or a tick."""
        return f"{self.why} {self.remedy}"

    @property
    def finding(self) -> Finding:
        """The same among what else was found."""
        return Finding("holds", self.health, f"Nothing is submitted now. {self.why}", self.remedy)


NOT_SCHEDULED: Final = Finding.attention(
    "schedules",
    "BATCH_SCHEDULES_ENABLED is false, so that no run starts by itself.",
    "Leave it out once runs are to start by themselves again.",
)


def found_wrong(about: str, error: BatchAssetsError) -> list[Finding]:
    """What a person has to put right, as findings: one for each line of the error."""
    return [Finding.of_sentence(about, Health.NOT_WELL, line) for line in error.lines]


def health_while_raised(severity: str) -> Health:
    """How it is while an alert of this severity is raised."""
    return Health.NOT_WELL if severity == Severity.ERROR else Health.ATTENTION


def worst(findings: Iterable[Finding]) -> Health:
    """How all of it is: as the worst of it."""
    return max((one.health for one in findings), key=_ORDER.index, default=Health.WELL)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """What is wrong, the worst first; the others in the order in which they come."""
    wrong = (one for one in findings if one.health is not Health.WELL)
    return sorted(wrong, key=lambda one: _ORDER.index(one.health), reverse=True)

"""What a receiver is sent. `docs/alerts.md` documents it; receivers depend on it."""

import re
import uuid
from dataclasses import dataclass
from typing import Final

from batch_assets.domain.alerts.records import AlertState
from batch_assets.domain.display import escaped

_EVENTS: Final = uuid.UUID("6f1f9c1a-6d3e-5a0b-9a52-2f7d9d6f0c11")
_FOR_SLACK: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_WORD_JOINER: Final = "\u2060"
_COMMANDS: Final = re.compile(
    r"(?<=@)|(?<=\])(?=[(\[:])|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE
)
"""Where an invisible U+2060 keeps receivers from seeing a mention or a link."""
_MARKS: Final = str.maketrans("*`~|<>$", "\u2217\u02cb\u223c\u2223\u2039\u203a\uff04")
"""Marks of bold, code, struck-out and hidden text, tags and formulas; what looks so is none."""
_LONE_UNDERSCORE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""Italic in Slack and Markdown; within a word, as in the names of alerts and ids, it is itself."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who tells: an installation, in one of its runs."""

    installation_id: str
    database: str
    run_id: str
    ui_url: str | None = None

    @property
    def run_url(self) -> str | None:
        """The run's page, where it is known where the UI is."""
        return f"{self.ui_url.rstrip('/')}/runs/{self.run_id}" if self.ui_url else None


def body_of(
    state: AlertState, *, what_to_do: str, behind: tuple[str, ...], sender: Sender
) -> dict[str, object]:
    """The JSON object for one change. The same change has the same `event_id` each time."""
    word = "raised" if state.is_raised else "resolved"
    since = state.since.isoformat()
    change = "/".join([sender.installation_id, state.name, word, since])
    return {
        "event_id": str(uuid.uuid5(_EVENTS, change)),
        "name": state.name,
        "state": word,
        "severity": str(state.severity),
        "summary": _plain(state.summary),
        "what_to_do": _advice(what_to_do),
        "behind": [_plain(one) for one in behind],
        "since": since,
        "installation_id": sender.installation_id,
        "database": sender.database,
        "run_id": sender.run_id,
        "run_url": sender.run_url,
        "text": _text(state, word, what_to_do, sender),
    }


def _text(state: AlertState, word: str, what_to_do: str, sender: Sender) -> str:
    """For receivers that show a message, such as Slack: a name that is a command there is none."""
    head = f"[{state.severity}] {state.name} {word} on {sender.database}"
    lines = [_plain(f"{head}: {state.summary}"), _advice(what_to_do), sender.run_url or ""]
    return "\n".join(line.translate(_FOR_SLACK) for line in lines if line)


def _plain(sentence: str) -> str:
    """A sentence that may name a company: one line, in which nothing is a command or markup."""
    shown = escaped(sentence).translate(_MARKS)
    return _COMMANDS.sub(_WORD_JOINER, _LONE_UNDERSCORE.sub("\uff3f", shown))


def _advice(sentence: str) -> str:
    """A sentence of ours, with commands to copy between backticks and at most an id of others."""
    return _COMMANDS.sub(_WORD_JOINER, escaped(sentence))

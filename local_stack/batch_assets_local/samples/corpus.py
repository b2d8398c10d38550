"""Loads conversations from a file as sessions of many companies, for checks on real text.

The file is gzipped JSON lines, each `{"id", "messages": [{"role", "content"}]}`; other keys are
ignored. Nothing depends on such a file being there.
"""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid5

from batch_assets.domain.errors import ConfigurationError
from batch_assets_local.samples.records import (
    NAMESPACE,
    SampleCompany,
    SampleMessage,
    SampleSession,
)
from batch_assets_local.samples.writing import SeedSummary, Target, connected, write_samples

_Named = tuple[str, list[tuple[str, str]]]
"""A conversation's id and its (role, content) lines."""

_MODEL: Final = "gpt-4o-mini"
_ENDED_BEFORE: Final = timedelta(hours=1)
_BETWEEN_MESSAGES: Final = timedelta(seconds=15)


def load_conversations(
    path: Path, target: Target, companies: int = 40, *, now: datetime | None = None
) -> SeedSummary:
    """Adds each conversation as a session whose whole analysis is asked for.

    The sessions are dealt to the companies in turn, and ended an hour before `now` (by default
    the present), so that every company may be submitted at once. One transaction; a second call
    adds nothing.

    Raises:
        ConfigurationError: the file is not there or a line is not as it should be; it never holds
            text of a conversation.
    """
    if not path.is_file():
        raise ConfigurationError(f"There is no file of conversations at {path}: check the path.")
    moment = now or datetime.now(UTC)
    employers = [_company(number + 1) for number in range(companies)]
    with connected(target) as connection:
        return write_samples(connection, employers, _sessions(path, employers, moment), moment)


def _company(number: int) -> SampleCompany:
    key = f"conversations-{number:02}"
    return SampleCompany(
        id=str(uuid5(NAMESPACE, key)),
        key=key,
        name=f"Conversations {number:02}",
        status="ACTIVE",
        country="US",
        sessions=0,
        languages={},
        models={},
        facts={},
    )


def _sessions(path: Path, companies: list[SampleCompany], now: datetime) -> Iterator[SampleSession]:
    for index, (name, lines) in enumerate(_conversations(path)):
        end = now - _ENDED_BEFORE
        start = end - _BETWEEN_MESSAGES * max(len(lines) - 1, 0)
        yield SampleSession(
            id=str(uuid5(NAMESPACE, f"conversation:{name}")),
            company_id=companies[index % len(companies)].id,
            start=start,
            end=end,
            country=None,
            ip=None,
            messages=tuple(
                SampleMessage(role, content, start + _BETWEEN_MESSAGES * order, order)
                for order, (role, content) in enumerate(lines)
            ),
            model=_MODEL,
        )


def _conversations(path: Path) -> Iterator[_Named]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield _parsed(path, number, line)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The conversations in {path} cannot be read: it has to be a gzipped text file "
            f"in UTF-8 ({type(error).__name__})."
        ) from None


def _parsed(path: Path, number: int, line: str) -> _Named:
    try:
        row = json.loads(line)
        said = [(message["role"], message["content"]) for message in row["messages"]]
        name = row["id"]
    except (ValueError, KeyError, TypeError):
        said, name = [], None
    if not isinstance(name, str) or not all(
        isinstance(text, str) for pair in said for text in pair
    ):
        # Without the cause: what could not be read may be a conversation.
        raise ConfigurationError(
            f"Line {number} of {path} is no conversation: it has to be a JSON object with an id "
            "and messages, each with a role and a content."
        )
    return name, said

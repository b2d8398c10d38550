"""What LiveDash's batch timers do beside us: noticed by what changed, and put back where it can be.

Nothing tells us that a timer of LiveDash's runs; but what is ours is in places where none of them
takes it from, so that what was moved all the same was moved by one of them, and which one shows in
how. This state is ours alone and has one implementation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batch_assets.domain.livedash_timers import Act
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sessions import restage
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))

LETTERS_A_LOOK: Final = 1_000
"""So many dead letters are compared with LiveDash's rows in one run, round and round."""
STAGES_A_LOOK: Final = 2_000


@dataclass(frozen=True, slots=True)
class Noticed:
    """What one look has found that is new."""

    acts: Mapping[str, int] = field(default_factory=dict)
    """How many acts of each timer; `unknown` where nothing says who it was."""
    bought_twice: int = 0
    """Requests that LiveDash has bought and that we have bought, too."""
    put_back: int = 0
    """Requests of ours that were reset, and are back where they were: nothing of them is bought."""


class LiveDashActs(EngineQueries):
    """Notices and keeps what LiveDash's timers have done."""

    @retry_lost
    def notice(self, quiet_seconds: float) -> Noticed:
        """Look once; one statement, and one more if LiveDash has answered a dead letter.

        What it reads grows with what is open and with how many dead letters are looked at.
        """
        which = {
            "quiet_seconds": quiet_seconds,
            "letters": LETTERS_A_LOOK,
            "stages": STAGES_A_LOOK,
        }
        with self.autocommit.connect() as connection:
            row = connection.execute(SQL["notice"], which).one()
            restage(connection, row.resolved_sessions)
        return Noticed(row.acts, row.bought_twice, row.put_back)

    @retry_lost
    def recent(self, within_seconds: float, limit: int) -> list[Act]:
        """What was noticed in the last seconds, newest first."""
        which = {"within_seconds": within_seconds, "limit": limit}
        with self.autocommit.connect() as connection:
            return [Act(**row._mapping) for row in connection.execute(SQL["recent"], which)]

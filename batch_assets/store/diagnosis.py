"""What `batch-assets doctor` asks of the database that nobody else does. It changes nothing."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class ServerLook:
    """The server, and the session in which it was asked."""

    version: int
    """As in 180006."""
    time_zone: str
    """The session's."""
    is_standby: bool
    clock: datetime


class Diagnosis(EngineQueries):
    """Looks at the server, and at what is going to cost money."""

    @retry_lost
    def server(self) -> ServerLook:
        """What the server is like now."""
        with self.autocommit.connect() as connection:
            return ServerLook(**connection.execute(SQL["server"]).one()._mapping)

    @retry_lost
    def models(self) -> list[str]:
        """The models of requests that wait, by name; of a long backlog those of the oldest."""
        with self.autocommit.connect() as connection:
            return list(connection.execute(SQL["models"]).scalars())

"""How a local stack is run: what whoever starts its supervisor decides."""

import json
import sys
from dataclasses import asdict, dataclass

BATCH_SERVER = (sys.executable, "-P", "-m", "batch_assets_local.batch_server")


@dataclass(frozen=True)
class StackOptions:
    """Who attaches to a stack that runs already gets it as it is."""

    durable: bool = True
    """False trades the database's safety against a power cut for speed, for tests."""

    linger_seconds: float = 5.0
    """How long the stack outlives its last user."""

    port: int | None = None
    """The Batch API server's port on 127.0.0.1; None keeps the one before, if it is free."""

    server_program: tuple[str, ...] = BATCH_SERVER
    """The Batch API server's program, up to the options that `BatchServerProcess` adds."""

    def to_json(self) -> str:
        """For a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "StackOptions":
        """What `to_json` gave."""
        values = json.loads(text)
        return cls(**{**values, "server_program": tuple(values["server_program"])})

"""LiveDash beside the job, in SQL: what its own code does to the database that both work on.

Read in its source at commit e2301725a3; each function's docstring names the file and the function
there. What OpenAI answers comes from the caller, who bills it.
"""

from drills.livedash.calls import (
    Answer,
    Created,
    Line,
    RefusedError,
    Remote,
    Request,
    UnavailableError,
)
from drills.livedash.live_path import LivePath
from drills.livedash.metrics import Metrics, TopQuestion, counted_sessions, metrics_of
from drills.livedash.selecting import Selected, Selections
from drills.livedash.stub_api import Purchase, StubApi
from drills.livedash.timers import LiveDash, Made

__all__ = [
    "Answer",
    "Created",
    "Line",
    "LiveDash",
    "LivePath",
    "Made",
    "Metrics",
    "Purchase",
    "RefusedError",
    "Remote",
    "Request",
    "Selected",
    "Selections",
    "StubApi",
    "TopQuestion",
    "UnavailableError",
    "counted_sessions",
    "metrics_of",
]

"""LiveDash's four metrics of a company, as its dashboard computes them from the rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from batch_assets.store.sql import load

SQL: Final = load(Path(__file__).with_suffix(".sql"))

_WORDS: Final = "what|when|where|why|how|who|which|can|could|would|will|is|are|do|does|did"
_QUESTION_WORD: Final = f"(^|[^A-Za-z0-9_])({_WORDS})([^A-Za-z0-9_]|$)"
_BLANKS: Final = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What JavaScript's `trim` takes away."""


@dataclass(frozen=True, slots=True)
class TopQuestion:
    """A question and how often it was asked."""

    content: str
    times: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the dashboard shows of a company."""

    sessions: int
    escalated: int
    forwarded: int
    resolved: int
    """With an end, which all have, and not escalated: a session that nobody analysed counts."""
    top_questions: tuple[TopQuestion, ...]
    """The five that were asked most often."""

    @property
    def resolved_percentage(self) -> float:
        """Of all sessions; 0 without any."""
        return self.resolved / self.sessions * 100 if self.sessions else 0.0


def metrics_of(connection: Connection, company_id: str) -> Metrics:
    """The four metrics of a company, all its sessions together.

    lib/metrics.ts, sessionMetrics, processSession, extractQuestions and calculateTopQuestions, on
    what app/api/dashboard/metrics/route.ts hands it: there a session's stored questions stand for
    its messages. Of questions asked equally often the first comes first; which session is first
    LiveDash leaves to the database, here it is the older one.
    """
    counts = connection.execute(SQL["counts"], {"company_id": company_id}).one()
    values = {"company_id": company_id, "blanks": _BLANKS, "question_word": _QUESTION_WORD}
    top = connection.execute(SQL["top_questions"], values)
    return Metrics(
        sessions=counts.sessions,
        escalated=counts.escalated,
        forwarded=counts.forwarded,
        resolved=counts.resolved,
        top_questions=tuple(TopQuestion(row.content, row.times) for row in top),
    )


def counted_sessions(connection: Connection, company_id: str) -> list[str]:
    """The sessions that the metrics are made of. app/api/dashboard/metrics/route.ts, GET."""
    rows = connection.execute(SQL["counted_sessions"], {"company_id": company_id})
    return [row.id for row in rows]

"""How things stand at the end of a run: its metrics, and the companies that are furthest behind."""

from collections.abc import Sequence
from dataclasses import dataclass

from batch_assets.domain.metrics import RunMetrics
from batch_assets.domain.records import Backlog


@dataclass(frozen=True, slots=True)
class CompanyBacklog:
    """What is still to be done for one company, and what it has cost since midnight UTC."""

    company_id: str
    company: str
    waiting_requests: int
    oldest_wait_seconds: float
    requests_in_batches: int
    retry_requests: int
    dead_letters: int
    day_cost_eur: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a run knows of what waits, before anything of it is counted again at its end.

    `sent_company_ids` are companies of which the run has sent something, or may have: they are
    counted again. The others are as they were counted.
    """

    others: Sequence[Backlog] = ()
    sent_company_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The metrics of a run as they were recorded."""

    metrics: RunMetrics
    companies: Sequence[CompanyBacklog]
    """Those that are furthest behind, the one whose oldest request has waited longest first."""

"""Records of synchronous batches, whose requests are sent one by one and at the full price."""

from collections.abc import Mapping
from dataclasses import dataclass

from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.records import Lease


@dataclass(frozen=True, slots=True)
class SynchronousBatch:
    """A synchronous batch whose intent is committed: ours to send, under `lease`."""

    lease: Lease
    company_id: str
    model: str
    requests: int
    cost_eur: float
    """The estimate, at the full price."""

    @property
    def id(self) -> str:
        """The batch's own id: LiveDash's row and ours."""
        return self.lease.batch_id

    def to_read(self) -> EndedBatch:
        """The same as answers are written to it."""
        return EndedBatch(
            lease=self.lease,
            is_ours=True,
            company_id=self.company_id,
            company=None,
            run_id="",
            requests=self.requests,
            model=self.model,
            openai_batch_id=f"live:{self.id}",
            server_status="live",
            server_errors=(),
            server_answered=0,
            ended_seconds=0.0,
            input_file_id=None,
            output_file_id=None,
            error_file_id=None,
            is_synchronous=True,
        )


@dataclass(frozen=True, slots=True)
class SynchronousClaim:
    """What one claim did; `held` counts requests that a budget or cap held back."""

    batches: tuple[SynchronousBatch, ...]
    held: Mapping[str, int]

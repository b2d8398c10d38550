"""What a result line means for its row: an analysis, a failure, or nothing at all."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from batch_assets import analysis
from batch_assets.domain.batches import EndedBatch
from batch_assets.domain.failures import Failure, FailureKind
from batch_assets.domain.money import Cost, Price, batch_cost
from batch_assets.domain.records import Response, ResultLine, RowOutcome
from batch_assets.openai_batch.prices import price_of_answer

_NO_SESSION = Failure(FailureKind.PERMANENT, "session_deleted", "The session was deleted.")


@dataclass(frozen=True, slots=True)
class LineReader:
    """Reads the lines of one batch."""

    batch: EndedBatch
    price_of: Callable[[str], Price | None]
    usd_to_eur: float

    def outcome(self, line: ResultLine, processing_type: str | None) -> RowOutcome:
        """The outcome of one line of this batch; no type: the session is gone."""
        if not line.answered:
            return RowOutcome(line.custom_id)
        cost = self._cost(line.response)
        if line.response is None:
            return RowOutcome(line.custom_id, None, cost, failure=line.failure)
        # What was read of the text is in the findings: nobody needs it any more.
        billed = replace(line.response, content=None)
        if line.failure is not None:
            return RowOutcome(line.custom_id, billed, cost, failure=line.failure)
        if processing_type is None:
            return RowOutcome(line.custom_id, billed, cost, failure=_NO_SESSION)
        # LiveDash asks in words of its own: of its answers we take what we understand.
        is_asked_so = self.batch.is_ours or self.batch.is_orphan
        read = analysis.read_answer if is_asked_so else analysis.read_partial_answer
        answer = read(processing_type, line.response)
        if isinstance(answer, Failure):
            return RowOutcome(line.custom_id, billed, cost, failure=answer)
        return RowOutcome(line.custom_id, billed, cost, findings=answer)

    def _cost(self, response: Response | None) -> Cost:
        if response is None:
            return Cost()
        price = price_of_answer(response, self.batch.model, self.price_of)
        if price is not None and self.batch.is_live:
            price = price.undiscounted
        return batch_cost(response.usage, price, self.usd_to_eur)

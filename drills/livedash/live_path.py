"""What the older LiveDash left, which analysed each session live: its history."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from batch_assets.store.sql import load
from drills.livedash.calls import Answer
from drills.livedash.timers import DEFAULT_MODEL, new_id

SQL: Final = load(Path(__file__).with_suffix(".sql"))

_PROMPT_TOKEN_COST: Final = 0.00001
_COMPLETION_TOKEN_COST: Final = 0.00003
_USD_TO_EUR: Final = 0.85


@dataclass(frozen=True)
class LivePath:
    """Writes rows of calls that were made live. A session's stages and fields are not its part."""

    connection: Connection

    def record_answered(
        self, session_id: str, answer: Answer, *, model: str = DEFAULT_MODEL
    ) -> str:
        """A call that was answered and paid for; the row's id.

        lib/processingScheduler.ts, recordAIProcessingRequest, for a model without a price there.
        """
        usd = (
            answer.prompt_tokens * _PROMPT_TOKEN_COST
            + answer.completion_tokens * _COMPLETION_TOKEN_COST
        )
        request_id = new_id(session_id)
        values = {
            "id": request_id,
            "session_id": session_id,
            "openai_request_id": f"chatcmpl-{request_id}",
            "model": model,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "total_tokens": answer.total_tokens,
            "prompt_token_cost": _PROMPT_TOKEN_COST,
            "completion_token_cost": _COMPLETION_TOKEN_COST,
            "total_cost_eur": usd * _USD_TO_EUR,
        }
        self.connection.execute(SQL["answered"], values)
        return request_id

    def record_failed(self, session_id: str, message: str) -> str:
        """A call that failed, of which the model is not known any more; the row's id.

        lib/processingScheduler.ts, recordFailedAIProcessingRequest.
        """
        request_id = new_id(session_id)
        values = {"id": request_id, "session_id": session_id, "message": message}
        self.connection.execute(SQL["failed"], values)
        return request_id

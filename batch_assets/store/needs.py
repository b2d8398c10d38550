"""What a run needs of LiveDash's tables; the statements that look first ask whether it is there.

Fewer columns than `migrate` asks for: one that no statement of a run names may go and stops none.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from batch_assets.store.tables import livedash

_NAMED: Final = {
    livedash.company: "id name status",
    livedash.session: (
        "id companyId startTime endTime language messagesSent sentiment escalated forwardedHr"
        " category summary updatedAt"
    ),
    livedash.message: "sessionId timestamp role content order createdAt",
    livedash.ai_processing_request: (
        "id sessionId openaiRequestId model serviceTier systemFingerprint promptTokens"
        " completionTokens totalTokens cachedTokens audioTokensPrompt reasoningTokens"
        " audioTokensCompletion acceptedPredictionTokens rejectedPredictionTokens promptTokenCost"
        " completionTokenCost totalCostEur processingType success errorMessage requestedAt"
        " completedAt processingStatus batchId"
    ),
    livedash.ai_batch_request: (
        "id companyId openaiBatchId inputFileId outputFileId errorFileId status createdAt"
        " completedAt processedAt"
    ),
    livedash.ai_model: "id name",
    livedash.ai_model_pricing: (
        "aiModelId promptTokenCost completionTokenCost effectiveFrom effectiveUntil"
    ),
    livedash.session_processing_status: (
        "id sessionId stage status startedAt completedAt errorMessage retryCount metadata"
    ),
    livedash.question: "id content",
    livedash.session_question: "id sessionId questionId order",
}
_PAIRS: Final = [(table.name, name) for table, names in _NAMED.items() for name in names.split()]

NEEDS: Final = {
    "needed_tables": [table for table, _ in _PAIRS],
    "needed_columns": [column for _, column in _PAIRS],
}
"""The parameters of the part `livedash_lacks`."""


def named(lacking: Sequence[str]) -> list[str]:
    """What is missing, as `migrate` would say it: a table once, and not by its columns."""
    said: list[str] = []
    for table, names in groupby(lacking, key=lambda name: name.partition(".")[0]):
        columns = [name.partition(".")[2] for name in names]
        if len(columns) == NEEDS["needed_tables"].count(table):
            said.append(f'the table "{table}"')
        else:
            said += [f'the column "{table}"."{column}"' for column in columns]
    return said

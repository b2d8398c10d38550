-- name: answered
-- No status is named: where the column is there, its default is PENDING_BATCHING.
INSERT INTO public."AIProcessingRequest" (
    "id", "sessionId", "openaiRequestId", "model", "promptTokens", "completionTokens",
    "totalTokens", "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType",
    "success", "completedAt", "requestedAt"
)
VALUES (
    :id, :session_id, :openai_request_id, :model, :prompt_tokens, :completion_tokens,
    :total_tokens, :prompt_token_cost, :completion_token_cost, :total_cost_eur,
    'session_analysis', true, date_trunc('milliseconds', clock_timestamp()),
    date_trunc('milliseconds', clock_timestamp())
);

-- name: failed
INSERT INTO public."AIProcessingRequest" (
    "id", "sessionId", "model", "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", "success",
    "errorMessage", "completedAt", "requestedAt"
)
VALUES (
    :id, :session_id, 'unknown', 0, 0, 0, 0, 0, 0, 'session_analysis', false, :message,
    date_trunc('milliseconds', clock_timestamp()), date_trunc('milliseconds', clock_timestamp())
);

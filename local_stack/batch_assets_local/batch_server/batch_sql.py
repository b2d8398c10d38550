"""The statements on batches. Each update names the state that it expects.

`SELECT *` is meant: `BatchRecord` mirrors our own table column by column.
"""

INSERT = """
INSERT INTO batch (id, input_file_id, endpoint, completion_window, metadata,
                   output_expires_seconds, status, created_at, expires_at, fate, due_at)
VALUES (:id, :input_file_id, :endpoint, :completion_window, :metadata,
        :output_expires_seconds, 'validating', :now, :now + :window, :fate, :now)
"""
PAGE = """
SELECT * FROM batch
WHERE created_at <= :visible_before
  AND (:after IS NULL OR seq * :direction > :after * :direction)
ORDER BY seq * :direction LIMIT :limit
"""
SCANNED = """
UPDATE batch SET scanned = 1, model = :model, total = :total, enqueued_tokens = :tokens,
                 errors = :errors, due_at = :now
WHERE id = :id AND status = 'validating' AND scanned = 0
"""
START = """
UPDATE batch SET status = 'in_progress', in_progress_at = :now, due_at = :now
WHERE id = :id AND status = 'validating' AND ending IS NULL
"""
FAIL = """
UPDATE batch SET status = 'failed', failed_at = :now, errors = :errors, due_at = NULL
WHERE id = :id AND status IN ('validating', 'in_progress') AND ending IS NULL
"""
DECIDE = """
UPDATE batch SET ending = :ending, due_at = :now
WHERE id = :id AND status IN ('validating', 'in_progress') AND ending IS NULL
"""
CANCEL = """
UPDATE batch SET status = 'cancelling', cancelling_at = :now, ending = 'cancelled', due_at = :now
WHERE id = :id AND status IN ('validating', 'in_progress') AND ending IS NULL
"""
RELEASE = """
UPDATE batch SET fate = NULL, due_at = :now WHERE id = :id AND due_at IS NOT NULL
"""
ADVANCE = """
UPDATE batch SET next_offset = :to_offset, next_line = :to_line,
                 completed = completed + :completed, failed = failed + :failed,
                 input_tokens = input_tokens + :input_tokens,
                 cached_tokens = cached_tokens + :cached_tokens,
                 output_tokens = output_tokens + :output_tokens,
                 reasoning_tokens = reasoning_tokens + :reasoning_tokens,
                 due_at = :due_at
WHERE id = :id AND next_offset = :from_offset AND status = :status AND ending IS :ending
"""
FINALIZE = """
UPDATE batch SET status = 'finalizing', finalizing_at = :now, ending = 'completed', due_at = :now
WHERE id = :id AND status = 'in_progress' AND ending IS NULL
"""
FINISH = """
UPDATE batch SET status = ending, due_at = NULL,
                 output_file_id = :output_file_id, error_file_id = :error_file_id,
                 completed_at = CASE ending WHEN 'completed' THEN :now END,
                 expired_at = CASE ending WHEN 'expired' THEN :now END,
                 cancelled_at = CASE ending WHEN 'cancelled' THEN :now END
WHERE id = :id AND status = :status AND ending = :ending AND due_at IS NOT NULL
"""
ENQUEUED = """
SELECT coalesce(sum(enqueued_tokens), 0) FROM batch
WHERE model = :model AND id <> :id AND scanned = 1 AND status IN ('validating', 'in_progress')
"""

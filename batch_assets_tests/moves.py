"""Watches which moves a database makes, by triggers that exist in these tests only.

A batch's moves are noted as they happen; a request's bucket is looked at when a transaction
commits, since only then does it have to be in exactly one.
"""

from sqlalchemy import Engine, text

from batch_assets.domain.states import BATCH_MOVES, REQUEST_MOVES

Moves = set[tuple[str, str]]

ALLOWED_OF_REQUESTS: Moves = {(str(move.source), str(move.target)) for move in REQUEST_MOVES}
ALLOWED_OF_BATCHES: Moves = {(str(move.source), str(move.target)) for move in BATCH_MOVES}

_INSTALL = r"""
CREATE SCHEMA watch;
CREATE TABLE watch.move (kind text NOT NULL, source text NOT NULL, target text NOT NULL);
CREATE TABLE watch.last_bucket (request_id text PRIMARY KEY, bucket text NOT NULL);

CREATE FUNCTION watch.bucket(wanted text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE
        WHEN r."processingStatus" = 'PENDING_BATCHING'
            AND (r.success OR r."completedAt" IS NOT NULL)
            AND NOT EXISTS (SELECT FROM batch_assets.attempt WHERE request_id = r.id)
        THEN CASE WHEN r.success THEN 'answered_before' ELSE 'failed_before' END
        WHEN r."processingStatus" = 'PENDING_BATCHING' THEN 'waiting'
        WHEN r."processingStatus" = 'BATCHING_IN_PROGRESS' AND r."batchId" IS NOT NULL
        THEN 'in_batch'
        WHEN r."processingStatus" = 'BATCHING_IN_PROGRESS' THEN coalesce(nullif(concat_ws(' and ',
            (SELECT 'retry' FROM batch_assets.retry WHERE request_id = r.id),
            (SELECT 'follows' FROM batch_assets.follower WHERE request_id = r.id)), ''), 'nowhere')
        WHEN r."processingStatus" = 'PROCESSING_COMPLETE' THEN 'complete'
        ELSE coalesce(
            (SELECT 'dead' FROM batch_assets.dead_letter WHERE request_id = r.id),
            'failed_elsewhere')
    END
    FROM public."AIProcessingRequest" AS r WHERE r.id = wanted
$$;

CREATE FUNCTION watch.look(wanted text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before text := (SELECT l.bucket FROM watch.last_bucket AS l WHERE l.request_id = wanted);
    now_in text := watch.bucket(wanted);
BEGIN
    IF now_in IS NULL OR now_in IS NOT DISTINCT FROM before THEN RETURN; END IF;
    IF before IS NOT NULL THEN INSERT INTO watch.move VALUES ('request', before, now_in); END IF;
    INSERT INTO watch.last_bucket VALUES (wanted, now_in)
    ON CONFLICT (request_id) DO UPDATE SET bucket = excluded.bucket;
END $$;

CREATE FUNCTION watch.on_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM watch.look(NEW.id); RETURN NULL; END $$;
CREATE FUNCTION watch.on_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM watch.look(coalesce(NEW.request_id, OLD.request_id)); RETURN NULL; END $$;
CREATE FUNCTION watch.on_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO watch.move VALUES ('batch', OLD.state, NEW.state); RETURN NULL; END $$;

CREATE CONSTRAINT TRIGGER watch AFTER INSERT OR UPDATE ON public."AIProcessingRequest"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch.on_request();
CREATE CONSTRAINT TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON batch_assets.retry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch.on_entry();
CREATE CONSTRAINT TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON batch_assets.follower
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch.on_entry();
CREATE CONSTRAINT TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON batch_assets.dead_letter
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch.on_entry();
CREATE TRIGGER watch AFTER UPDATE ON batch_assets.batch
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION watch.on_batch();
"""


def watch_moves(engine: Engine) -> None:
    """Begin to watch a database."""
    with engine.begin() as connection:
        connection.exec_driver_sql(_INSTALL)


def forget_moves(engine: Engine) -> None:
    """Begin anew: what was seen so far does not count."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM watch.move; DELETE FROM watch.last_bucket"))


def seen_moves(engine: Engine, kind: str) -> Moves:
    """Each move that was made, of `request`s or of `batch`es, once."""
    query = text("SELECT DISTINCT source, target FROM watch.move WHERE kind = :kind")
    with engine.begin() as connection:
        return {(row.source, row.target) for row in connection.execute(query, {"kind": kind})}

"""One migrated database for many tests: emptying it is quicker than making another one."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from batch_assets.store.engine import open_engine
from batch_assets_tests.databases import TestDatabases

_EMPTY = text("""
    DELETE FROM public."AIProcessingRequest";
    DELETE FROM public."AIBatchRequest";
    DELETE FROM public."AIModelPricing";
    DELETE FROM public."AIModel";
    DELETE FROM public."Company";
    DELETE FROM public."Question";
    DELETE FROM batch_assets.abandoned_batch;
    DELETE FROM batch_assets.attempt;
    DELETE FROM batch_assets.batch;
    DELETE FROM batch_assets.daily_cost;
    DELETE FROM batch_assets.run_reading;
    DELETE FROM batch_assets.intake;
    DELETE FROM batch_assets.intake_progress;
    DELETE FROM batch_assets.retry;
    DELETE FROM batch_assets.dead_letter;
    DELETE FROM batch_assets.allowance;
    DELETE FROM batch_assets.learnt_usage;
    DELETE FROM batch_assets.model_cooldown;
    DELETE FROM batch_assets.account_cooldown;
    DELETE FROM batch_assets.follower;
    DELETE FROM batch_assets.livedash_act;
    DELETE FROM batch_assets.livedash_watch;
    DELETE FROM batch_assets.bisection_request;
    DELETE FROM batch_assets.duplicate_batch;
    DELETE FROM batch_assets.synchronous_request;
    DELETE FROM batch_assets.breaker;
    DELETE FROM batch_assets.schedule_cooldown;
    DELETE FROM batch_assets.operation_run;
    DELETE FROM batch_assets.operation_choice;
    DELETE FROM batch_assets.run_metric;
    DELETE FROM batch_assets.alert;
    DELETE FROM batch_assets.alert_delivery;
    DELETE FROM batch_assets.query_mode;
    DELETE FROM batch_assets.account_cooldown;
    DELETE FROM batch_assets.search;
    DELETE FROM batch_assets.unknown_batch;
    DELETE FROM batch_assets.run_process;
    DELETE FROM batch_assets.run_state;
    DELETE FROM batch_assets.drain;
    DELETE FROM batch_assets.budget;
    DELETE FROM batch_assets.company_account;
    DELETE FROM batch_assets.account_look;
    UPDATE batch_assets.installation
    SET id = gen_random_uuid()::text,
        system_identifier = (SELECT system_identifier::text FROM pg_control_system()),
        database_name = current_database(),
        confirmed_at = CURRENT_TIMESTAMP,
        confirmed_by = 'the tests',
        upload_bytes = NULL,
        alone_since = NULL,
        has_orphans = false
""")


@contextmanager
def one_database(databases: TestDatabases) -> Iterator[Engine]:
    """The product's own engine on a new database, which is dropped on the way out."""
    with engine_on(databases, databases.clone_migrated()) as engine:
        yield engine


@contextmanager
def engine_on(databases: TestDatabases, url: str) -> Iterator[Engine]:
    """The product's own engine on a database, which is dropped on the way out."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()
        databases.drop(url)


def empty(engine: Engine) -> None:
    """Take every row away, and make the database a new and confirmed installation's home."""
    with engine.begin() as connection:
        connection.execute(_EMPTY)

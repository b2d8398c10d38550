"""A standby that is promoted: with all that the primary had, or with less."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text

from batch_assets.domain.errors import DatabaseUnavailableError, SubmissionHeldError
from batch_assets.store.migrate import require_suitable, upgrade
from batch_assets.store.urls import dagster_url
from batch_assets_local.postgres import EmbeddedPostgres
from batch_assets_tests.stages.support import Lab, wait_until
from batch_assets_tests.stages.test_copies import (
    MakeLab,
    base_backup,
    lab_on,
    opened,
    started,
    two_stacks,
)

__all__ = ["lab_on", "two_stacks"]


@contextmanager
def standing_by(first: Path, url: str, second: Path) -> Iterator[EmbeddedPostgres]:
    """A replica of a server that runs, which goes on with what that one writes."""
    base_backup(first, url, second, "--write-recovery-conf")
    standby = EmbeddedPostgres(second, durable=False)
    standby.launch()
    try:
        wait_for_replica(url, standby.url())
        yield standby
    finally:
        standby.stop()


def wait_for_replica(url: str, standby_url: str) -> None:
    """Return once the replica has all that the primary has written up to now."""
    with psycopg.connect(url) as primary:
        # Else the end of what was written may be where a file of the log begins, to which a replica
        # gets with the next record: in up to 15 s.
        primary.execute("SELECT pg_logical_emit_message(true, '', '')")
    with psycopg.connect(url) as primary:
        (written,) = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or (None,)
    wait_until(lambda: has_replayed(standby_url, written), seconds=30)


def has_replayed(standby_url: str, written: object) -> bool:
    """Whether the replica takes connections and has come to a place in the primary's log."""
    try:
        with psycopg.connect(standby_url, autocommit=True) as standby:
            seen = standby.execute(
                "SELECT pg_last_wal_replay_lsn() >= CAST(%s AS pg_lsn)", [written]
            ).fetchone()
    except psycopg.OperationalError:
        return False
    return seen == (True,)


def do(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def promoted(standby: EmbeddedPostgres) -> str:
    do(standby.url(), "SELECT pg_promote()")
    standby.wait_ready()
    return standby.url()


def takes_changes(engine: Engine) -> bool:
    """Whether a connection of these, made anew, is one to a primary."""
    engine.dispose()
    with engine.connect() as connection:
        return not connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one()


@contextmanager
def closing_pool(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.dispose()


def begun(lab: Lab) -> list[str]:
    """A batch that has ended and one that is under way; their requests."""
    lab.pipeline.registry.confirm("me")
    _, first = lab.company(1)
    lab.submit()
    lab.poll_to_the_end()
    _, second = lab.company(1)
    lab.submit()
    return first + second


@pytest.mark.parametrize("lab_on", ["optimized"], indirect=True)
def test_a_clean_fail_over_goes_on_unasked_and_buys_nothing_twice(
    two_stacks: tuple[Path, Path], lab_on: MakeLab
) -> None:
    first, second = two_stacks
    with started(first) as primary:
        upgrade(primary.url())
        with standing_by(first, primary.url(), second) as standby:
            # As one URL names both, whichever is the primary.
            both = f"{standby.url()},{primary.url().partition('?host=')[2]}"
            dagsters = create_engine(dagster_url(both), pool_size=1)
            with opened(both) as engine, closing_pool(dagsters):
                lab = lab_on(engine, "a")
                ids = begun(lab)
                ids += lab.company(1)[1]
                assert takes_changes(dagsters)
                wait_for_replica(primary.url(), standby.url())
                primary.stop()
                with pytest.raises(DatabaseUnavailableError, match="does not answer"):
                    require_suitable(engine)
                promoted(standby)
                require_suitable(engine)
                assert takes_changes(dagsters)
                assert lab.pipeline.read_snapshot().installation.is_doubted
                assert lab.submit().batches == 1
                assert lab.read_to_the_end().finalized == 3
                assert lab.bucket_counts() == {"complete": 3}
                assert lab.times_billed(ids) == [1, 1, 1]
                assert not lab.pipeline.registry.installation().is_doubted


@pytest.mark.parametrize("lab_on", ["original"], indirect=True)
def test_a_replica_that_had_less_holds_until_somebody_says_what_it_is(
    two_stacks: tuple[Path, Path], lab_on: MakeLab
) -> None:
    first, second = two_stacks
    with started(first) as primary:
        upgrade(primary.url())
        with standing_by(first, primary.url(), second) as standby:
            with opened(primary.url()) as engine:
                lab = lab_on(engine, "a")
                ids = begun(lab)
                lost = lab.company(1)[1]
                wait_for_replica(primary.url(), standby.url())
                do(
                    standby.url(),
                    "ALTER SYSTEM SET primary_conninfo = ''",
                    "SELECT pg_reload_conf()",
                )
                wait_until(lambda: is_cut_off(primary.url()))
                lab.submit()
                files = lab.all_file_ids()
            primary.stop()
            with opened(promoted(standby)) as engine:
                after = lab_on(engine, "b")
                assert after.ingest().finalized == 0
                assert after.clean() == 0
                with pytest.raises(SubmissionHeldError, match="confirm --moved"):
                    after.submit()
                assert after.all_file_ids() >= files

                after.pipeline.registry.make_home("me", as_copy=False)
                assert after.read_to_the_end().finalized == 2
                assert after.times_billed(ids + lost) == [1, 1, 1]
                assert after.submit().requests == 1
                after.read_to_the_end()
                assert after.times_billed(ids + lost) == [1, 1, 2], "as the operator has said"


def is_cut_off(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute("SELECT FROM pg_stat_replication").fetchone() is None

"""Databases that are copies and do not look it: only the server's list tells them apart."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, make_url

from batch_assets.domain.errors import SubmissionHeldError
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.orphans import find_orphans
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import upgrade
from batch_assets.store.registry import Registry
from batch_assets.store.strategy import choose_queries
from batch_assets_local import paths, postgres_programs
from batch_assets_local.batch_server import RunningServer
from batch_assets_local.postgres import EmbeddedPostgres
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.stages.support import API_KEY, QUICK, Lab, call_rule
from batch_assets_tests.store.queries.support import Desk

MakeLab = Callable[[Engine, str], Lab]
"""A pipeline on a database, with a spool of that name."""


@pytest.fixture(params=["optimized", "original"])
def lab_on(
    request: pytest.FixtureRequest, api: BatchApi, server: RunningServer, tmp_path: Path
) -> MakeLab:
    def made(engine: Engine, name: str) -> Lab:
        pipeline = Pipeline(
            queries=choose_queries(engine, optimized=request.param == "optimized"),
            registry=Registry(engine, external_quiet_seconds=900),
            api=api,
            policy=QUICK,
            spool_dir=tmp_path / name,
            owner="host:1",
            run_id="run-1",
        )
        return Lab(pipeline, server, Desk(engine, pipeline.queries))

    return made


@pytest.fixture
def two_stacks(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Directories of two PostgreSQL servers."""
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
    yield first, second
    for directory in (first, second):
        paths.remove(directory)


@contextmanager
def started(directory: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(directory, durable=False)
    server.launch()
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def copy_files(source: Path, target: Path) -> None:
    """Copy the data of a server that is down, as a snapshot would."""
    homes = [str(paths.postgres_home(directory)) for directory in (source, target)]
    subprocess.run(["cp", "-a", "--", *homes], check=True)


def base_backup(source: Path, url: str, target: Path, *options: str) -> None:
    """Copy the data of a server that runs."""
    home, account = paths.postgres_home(source), paths.server_account()
    with (home / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write("local replication all peer map=owner\n")
    with (home / "pg_ident.conf").open("a", encoding="utf-8") as names:
        names.write(f'owner "{account.name}" all\n')
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_reload_conf()")
    data = paths.make_postgres_home(target) / "data"
    program = postgres_programs.programs() / "pg_basebackup"
    where = [f"--pgdata={data}", f"--dbname={url}", "--checkpoint=fast", "--no-sync"]
    subprocess.run([program, *where, *options], check=True, cwd="/")
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{account.uid}:{account.gid}", data], check=True)


@pytest.mark.parametrize(
    ("lab_on", "is_running"),
    [("optimized", False), ("original", True)],
    ids=["files", "base backup"],
    indirect=["lab_on"],
)
def test_a_copy_of_the_files_started_elsewhere_holds_and_touches_nothing(
    two_stacks: tuple[Path, Path], lab_on: MakeLab, *, is_running: bool
) -> None:
    first, second = two_stacks
    with started(first) as original:
        url = original.url()
        upgrade(url)
        with opened(url) as engine:
            lab = lab_on(engine, "a")
            lab.pipeline.registry.confirm("me")
            _, early = lab.company(2)
            assert lab.submit().batches == 1
            company, both = lab.company(3)
            lab.poll_to_the_end()
        if is_running:
            base_backup(first, url, second)
    if not is_running:
        copy_files(first, second)
    with (
        started(first) as original,
        started(second) as copy,
        opened(original.url()) as here,
        opened(copy.url()) as there,
    ):
        lab = lab_on(here, "a")
        clone = lab_on(there, "b")
        assert clone.pipeline.registry.installation().is_at_home, "it does not look like one"
        assert lab.submit().batches == 1

        assert clone.ingest().finalized == 0
        assert clone.clean() == 0, "the original has not read these files"
        with pytest.raises(SubmissionHeldError, match="confirm --copy"):
            clone.submit()
        assert clone.bucket_counts() == {"waiting": 3, "in_batch": 2}

        assert lab.read_to_the_end().finalized == 2
        assert lab.bucket_counts() == {"complete": 5}
        assert lab.clean() == 1, "what a copy may have been left to read stays for an hour"
        assert lab.times_billed(early + both) == [1] * 5

        clone.pipeline.registry.make_home("me", as_copy=True)
        assert clone.ingest().finalized == 1, "what the original had submitted before"
        assert clone.submit().requests == 3
        clone.read_to_the_end()
        lab.more(company, 1)
        assert lab.submit().requests == 1
        assert lab.times_billed(both) == [2] * 3, "both live on, as the operator has said"


def test_a_dump_that_is_put_back_under_its_name_holds_until_somebody_says_what_it_is(
    databases: TestDatabases, tmp_path: Path, lab_on: MakeLab
) -> None:
    url = databases.clone_migrated()
    dump = tmp_path / "dump"
    with opened(url) as engine:
        lab = lab_on(engine, "spool")
        make_installation(lab)
        _, lost = lab.company(2)
        lab.configure(calls=[call_rule("batches.create", {"kind": "drop", "work": "done"})])
        lab.submit()
        lab.configure()
        _, later = lab.company(3)
        _dump(url, dump)
        lab.finish()
        assert lab.times_billed(lost + later) == [1] * 5
    _put_back(url, dump)
    with opened(url) as engine:
        lab = lab_on(engine, "spool")
        assert lab.pipeline.registry.installation().is_at_home
        assert lab.bucket_counts() == {"waiting": 3, "in_batch": 2}
        before = lab.all_file_ids()
        with pytest.raises(SubmissionHeldError, match="confirm --moved"):
            lab.submit()
        assert lab.recover().taken_over == 0
        assert lab.ingest().finalized == 0
        assert find_orphans(lab.pipeline, lab.pipeline.read_snapshot()).orphans_deleted == 0
        assert lab.all_file_ids() == before

        lab.pipeline.registry.make_home("me", as_copy=False)
        assert lab.recover().adopted == 1, "what was under way at the dump is found"
        assert lab.submit().requests == 3
        assert lab.times_billed(lost) == [1, 1]
        assert find_orphans(lab.pipeline, lab.pipeline.read_snapshot()).unknown >= 1
        assert lab.pipeline.registry.installation().hold_reason is None, "it is acknowledged"
    databases.drop(url)


def test_a_batch_of_another_installation_is_counted_and_holds_nothing(
    databases: TestDatabases, tmp_path: Path, lab_on: MakeLab
) -> None:
    urls = [databases.clone_migrated(), databases.clone_migrated()]
    with opened(urls[0]) as one, opened(urls[1]) as other:
        labs = [lab_on(engine, name) for engine, name in ((one, "a"), (other, "b"))]
        for lab in labs:
            make_installation(lab)
            lab.company(1)
        assert labs[0].submit().batches == 1
        report = labs[1].submit()
        assert report.batches == 1
        assert report.look.other_installations >= 1
        assert report.look.unknown_seen == 0
    for url in urls:
        databases.drop(url)


class MeetingApi(BatchApi):
    """The real client; an upload returns once another one has been made elsewhere."""

    meeting: threading.Barrier

    def upload(self, path: Path, name: str) -> str:
        file_id = super().upload(path, name)
        self.meeting.wait(10)
        return file_id


def test_a_copy_that_begins_at_the_same_moment_buys_nothing_twice(
    databases: TestDatabases, server: RunningServer, lab_on: MakeLab
) -> None:
    url = databases.clone_migrated()
    with opened(url) as engine:
        make_installation(lab_on(engine, "a"))
        _, ids = lab_on(engine, "a").company(2)
    copy_url = databases.copy(url)
    meeting = threading.Barrier(2)
    with opened(url) as here, opened(copy_url) as there, ExitStack() as stack:
        labs = []
        for engine, name in ((here, "a"), (there, "b")):
            api = stack.enter_context(MeetingApi(API_KEY, server.base_url))
            api.meeting = meeting
            labs.append(lab_on(engine, name).using(api))
        assert len({lab.pipeline.registry.installation().id for lab in labs}) == 1
        with ThreadPoolExecutor(2) as pool:
            held = [future.exception() for future in [pool.submit(lab.submit) for lab in labs]]
        assert any(isinstance(error, SubmissionHeldError) for error in held)
        # Whoever was not held has bought. If both were, an operator says which one goes on.
        going = next((one for one, error in enumerate(held) if error is None), 0)
        if held[going] is not None:
            labs[going].pipeline.registry.make_home("me", as_copy=False)
        on = lab_on((here, there)[going], "ab"[going])
        on.finish()
        assert on.times_billed(ids) == [1, 1]
    for one in (url, copy_url):
        databases.drop(one)


def make_installation(lab: Lab) -> None:
    """Let a database that was cloned for the tests be one of its own."""
    lab.desk.do("UPDATE batch_assets.installation SET confirmed_at = now(), id = gen_random_uuid()")


def _dump(url: str, path: Path) -> None:
    pg_dump = postgres_programs.programs() / "pg_dump"
    subprocess.run([pg_dump, "--format=custom", f"--file={path}", url], check=True)


def _put_back(url: str, path: Path) -> None:
    """Drop the database and make it again from a dump, under its own name."""
    name = sql.Identifier(str(make_url(url).database))
    admin = make_url(url).set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    pg_restore = postgres_programs.programs() / "pg_restore"
    subprocess.run([pg_restore, "--exit-on-error", f"--dbname={url}", str(path)], check=True)

"""A spool directory that cannot be used, and disks that are full: said, and nothing lost by it."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from batch_assets.domain.errors import (
    ApiError,
    BatchAssetsError,
    ConfigurationError,
    DatabaseAtItsEndError,
)
from batch_assets_tests.stages.support import Lab

LONG = [("user", "x" * 100_000)]


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """As on a disk that is nearly full: the kernel refuses to let a file grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def make_open(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)


def make_a_file(path: Path) -> None:
    path.touch()


def make_a_link_to_nowhere(path: Path) -> None:
    path.symlink_to(path / "nowhere")


@pytest.mark.parametrize("make", [make_open, make_a_file, make_a_link_to_nowhere])
def test_a_spool_directory_that_cannot_be_used_is_found_before_anything_is_claimed(
    lab: Lab, make: Callable[[Path], None]
) -> None:
    lab.company(2)
    make(lab.pipeline.spool_dir)
    with pytest.raises(ConfigurationError, match=str(lab.pipeline.spool_dir)):
        lab.submit()
    assert lab.batches() == []
    assert lab.bucket_counts() == {"waiting": 2}


def test_a_spool_directory_where_nothing_can_be_made_is_found_too(lab: Lab) -> None:
    lab.company(2)
    pipeline = replace(lab.pipeline, spool_dir=Path("/proc/nobody-makes-this"))
    with pytest.raises(ConfigurationError, match="/proc/nobody-makes-this"):
        replace(lab, pipeline=pipeline).submit()
    assert lab.bucket_counts() == {"waiting": 2}


def test_an_environment_in_which_no_call_can_be_made_is_found_before_anything_is_claimed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.company(2)
    lab.pipeline.api.close()
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-one: 1\nx-other: secret\x01")
    with pytest.raises(ConfigurationError, match="OPENAI_CUSTOM_HEADERS") as raised:
        lab.submit()
    assert "secret" not in str(raised.value)
    assert lab.batches() == []


def test_a_full_disk_costs_only_the_batches_that_it_has_no_room_for(lab: Lab) -> None:
    _, large = lab.company(30, messages=LONG)
    _, small = lab.company(2)
    with no_file_beyond(1_500_000), pytest.raises(BatchAssetsError, match="spool directory"):
        lab.submit()
    assert lab.bucket_counts() == {"in_batch": 2, "waiting": 30}
    assert len(lab.batches("released")) == 1
    lab.read_to_the_end()
    assert lab.submit().requests == 30
    lab.read_to_the_end()
    assert lab.times_billed([*large, *small]) == [1] * 32
    assert list(lab.pipeline.spool_dir.glob("batch-files-*")) == []


def test_results_for_which_there_is_no_room_are_read_later(lab: Lab) -> None:
    _, many = lab.company(60)
    _, few = lab.company(2)
    lab.submit()
    lab.poll_to_the_end()
    with no_file_beyond(20_000), pytest.raises(ApiError) as raised:
        lab.ingest()
    assert os.strerror(errno.EFBIG) in str(raised.value)
    assert "make room" in raised.value.sentence("")
    assert lab.bucket_counts() == {"in_batch": 60, "complete": 2}
    lab.ingest()
    assert lab.bucket_counts() == {"complete": 62}
    assert lab.times_billed([*many, *few]) == [1] * 62


@contextmanager
def at_its_end(lab: Lab, sqlstate: str, writing: str) -> Iterator[None]:
    """The server raises what it raises then, whenever something is written there."""
    lab.desk.do(
        "CREATE FUNCTION batch_assets.at_its_end() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'at its end' USING ERRCODE = '{sqlstate}'; END $$"
    )
    lab.desk.do(
        f"CREATE TRIGGER at_its_end BEFORE {writing}"
        " FOR EACH ROW EXECUTE FUNCTION batch_assets.at_its_end()"
    )
    try:
        yield
    finally:
        lab.desk.do("DROP FUNCTION batch_assets.at_its_end() CASCADE")


@pytest.mark.parametrize(
    ("sqlstate", "said"),
    [
        ("53100", "no room left on its disk"),
        ("53200", "no memory left"),
        ("58030", "cannot read or write its files"),
        ("25006", "takes no changes"),
    ],
)
def test_a_database_at_its_end_is_said_and_loses_nothing(
    lab: Lab, sqlstate: str, said: str
) -> None:
    _, ids = lab.company(3)
    for writing, act in (
        ("INSERT ON batch_assets.intake", lab.submit),
        ("INSERT ON batch_assets.attempt", lab.submit),
        ("UPDATE ON batch_assets.attempt", lab.ingest),
    ):
        if act == lab.ingest:
            lab.submit()
            lab.poll_to_the_end()
        with (
            at_its_end(lab, sqlstate, writing),
            pytest.raises(DatabaseAtItsEndError, match=said),
        ):
            act()
    lab.ingest()
    assert lab.bucket_counts() == {"complete": 3}
    assert lab.times_billed(ids) == [1] * 3

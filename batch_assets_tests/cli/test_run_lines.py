"""Each run that has ended is one line, with what it did or why it failed."""

import re

import dagster as dg
import pytest
from sqlalchemy import Engine

from batch_assets.cli.run_lines import RunLines, did
from batch_assets.domain.lookups import Moved
from batch_assets.store.lookups import Lookups

UI = "http://127.0.0.1:3000"


@dg.op
def fails() -> None:
    raise dg.Failure("The API refuses the account.")


@dg.op
def works() -> None:
    """Nothing is to be done."""


@dg.job
def one_that_fails() -> None:
    fails()


@dg.job
def one_that_works() -> None:
    works()


def test_a_run_is_said_once_and_only_if_it_ends_while_somebody_watches(
    module_engine: Engine,
) -> None:
    with dg.instance_for_test() as instance:
        one_that_works.execute_in_process(instance=instance)
        lines = RunLines(instance, Lookups(module_engine), UI)
        assert lines.new() == []
        one_that_works.execute_in_process(instance=instance)
        failed = one_that_fails.execute_in_process(instance=instance, raise_on_error=False)
        first, second = lines.new()
        assert lines.new() == []
    assert re.fullmatch(r"\d\d:\d\d:\d\d one_that_works: succeeded \(\S+ s\)", first)
    assert second[9:] == (
        f"one_that_fails failed: The API refuses the account. {UI}/runs/{failed.run_id}"
    )


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (Moved(0, 0, 0, 0.0), "nothing to send, nothing to read"),
        (Moved(12, 0, 0, 0.0), "sent 12 requests, read 0 answers"),
        (Moved(1, 30, 2, 0.25), "sent 1 request, read 30 answers for 0.2500 EUR, 2 failed"),
    ],
)
def test_what_a_run_did(moved: Moved, said: str) -> None:
    assert did(moved) == said

"""Two accounts on two servers: each sees, sends and reads what is its own, with its own key."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.stages.controls.drain import drain_on, foresee_drain
from batch_assets.stages.pipeline import Budget
from batch_assets.store.company_accounts import CompanyAccounts
from batch_assets.store.registry import Registry
from batch_assets_local.batch_server import RunningServer, ServerConfig, running_server
from batch_assets_tests.one_server import empty_server
from batch_assets_tests.stages.support import API_KEY, Lab, answer

ACME = "acme"
ACME_KEY = "sk-acme-canary-0123456789"


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    state_dir = tmp_path_factory.mktemp("acme") / "state"
    with running_server(state_dir, config=ServerConfig.instant(), answerer=answer) as running:
        yield running


@pytest.fixture
def acme(lab: Lab, other_server: RunningServer) -> Iterator[Lab]:
    """The same database with another account, on a server that lets its key in and no other."""
    empty_server(other_server)
    lab.configure(keys={"accepted": [API_KEY]})
    timeouts = Timeouts(connect=5, read=10, create=10, upload=20)
    with BatchApi(ACME_KEY, other_server.base_url, timeouts=timeouts) as api:
        registry = Registry(lab.desk.engine, 900, ACME)
        pipeline = replace(lab.pipeline, registry=registry, api=api)
        acme = replace(lab, pipeline=pipeline, server=other_server)
        acme.configure(keys={"accepted": [ACME_KEY]})
        yield acme


def give(lab: Lab, company_id: str, account_name: str) -> None:
    CompanyAccounts(lab.desk.engine).assign(company_id, account_name, "the tests")


def test_each_account_sends_its_companies_and_reads_its_batches(lab: Lab, acme: Lab) -> None:
    (_, own_ids), (given, its_ids) = lab.company(3), lab.company(3)
    give(lab, given, ACME)
    assert (lab.submit().requests, acme.submit().requests) == (3, 3)
    assert (len(lab.remote_batches()), len(acme.remote_batches())) == (1, 1)
    assert lab.poll_to_the_end().ended == 1
    assert lab.ingest().rows.completed == 3
    assert set(lab.statuses(its_ids)) == {"BATCHING_IN_PROGRESS"}
    assert acme.read_to_the_end().rows.completed == 3
    assert set(lab.statuses([*own_ids, *its_ids])) == {"PROCESSING_COMPLETE"}
    standing = CompanyAccounts(lab.desk.engine).standing()
    assert {one.account_name: one.batches for one in standing} == {ACME: 1, DEFAULT_ACCOUNT: 1}
    assert lab.times_billed([*own_ids, *its_ids]) == [1, 1, 1, 0, 0, 0]
    assert acme.times_billed([*own_ids, *its_ids]) == [0, 0, 0, 1, 1, 1]
    assert (lab.clean(), acme.clean()) == (1, 1)
    (left,) = CompanyAccounts(lab.desk.engine).standing()
    assert (left.account_name, left.batches) == (ACME, 0), "its files are deleted"
    assert (lab.remote_files(), acme.remote_files()) == ([], [])


def test_a_company_moves_while_its_batch_runs(lab: Lab, acme: Lab) -> None:
    company_id, first = lab.company(3)
    lab.submit()
    give(lab, company_id, ACME)
    second = lab.more(company_id, 2)
    assert (lab.submit().requests, acme.submit().requests) == (0, 2)
    lab.read_to_the_end()
    acme.read_to_the_end()
    assert lab.times_billed([*first, *second]) == [1, 1, 1, 0, 0]
    assert acme.times_billed([*first, *second]) == [0, 0, 0, 1, 1]
    assert lab.bucket_counts() == {"complete": 5}


def test_what_was_claimed_for_another_account_is_never_uploaded(lab: Lab, acme: Lab) -> None:
    company_id, ids = lab.company(3)
    batches = lab.claim()
    with pytest.raises(BatchAssetsError, match="are not sent with the key of the account acme"):
        acme.send(batches)
    assert not (lab.all_file_ids() | acme.all_file_ids())
    # Whoever it belongs to looks it up and sends it, although its company was given away meanwhile.
    give(lab, company_id, ACME)
    lab.desk.lapse(batches[0].id)
    assert (acme.recover().taken_over, lab.recover().taken_over) == (0, 1)
    assert (lab.submit().requests, acme.submit().requests) == (0, 3)
    acme.read_to_the_end()
    assert (lab.times_billed(ids), acme.times_billed(ids)) == ([0, 0, 0], [1, 1, 1])


def test_livedash_is_given_nothing_of_another_account(lab: Lab, acme: Lab) -> None:
    given, ids = lab.company(3)
    give(lab, given, ACME)
    assert acme.submit().requests == 3
    foreseen = foresee_drain(lab.pipeline.drains, hand_over=True)
    assert "would be read: 1 batch" in foreseen.sentences[1]
    step = drain_on(lab.pipeline, Budget.of_op(lab.pipeline.policy), hand_over=True)
    assert (step.handed_over.batches, step.left.running, step.left.running_for_default) == (0, 1, 0)
    assert acme.read_to_the_end().rows.completed == 3
    assert set(lab.statuses(ids)) == {"PROCESSING_COMPLETE"}


def test_an_account_that_is_gone_keeps_nobody_else_waiting(lab: Lab, acme: Lab) -> None:
    given, _ = lab.company(3)
    give(lab, given, ACME)
    acme.submit()
    lab.more(given, 2)
    lab.company(4)
    assert lab.submit().requests == 4
    assert lab.read_to_the_end().rows.completed == 4
    found = {one.account_name: one for one in CompanyAccounts(lab.desk.engine).standing()}
    assert (found[ACME].companies, found[ACME].batches) == (1, 1)
    assert not lab.pipeline.read_snapshot().has_in_flight
    assert lab.pipeline.account_name == DEFAULT_ACCOUNT

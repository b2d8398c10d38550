"""A company is served by one account, and a batch stays with the one that it was made with."""

from dataclasses import replace

import pytest

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.batches import Claim
from batch_assets.domain.policy import Cooldown
from batch_assets.store.company_accounts import CompanyAccounts
from batch_assets.store.protocol import Spent
from batch_assets.store.registry import Registry
from batch_assets_tests.policies import a_policy
from batch_assets_tests.store.queries.support import Desk, terms

ACME = "acme"


def claim(desk: Desk, account_name: str, *company_ids: str, tokens: int = 10**9) -> Claim:
    """Claim for these companies with an account."""
    policy = a_policy(default_token_allowance=tokens)
    its = replace(terms(policy), account_name=account_name)
    holder = replace(desk.holder, account_name=account_name)
    return desk.queries.claim(company_ids, its, holder, Spent())


def give(desk: Desk, company_id: str, account_name: str) -> None:
    CompanyAccounts(desk.engine).assign(company_id, account_name, "the tests")


def test_nothing_of_a_company_goes_by_another_account(desk: Desk) -> None:
    (own, _), (given, _) = desk.company(3), desk.company(3)
    give(desk, given, ACME)
    both = [own, given]
    served = {
        name: [one.company_id for one in desk.queries.pending_by_company(both, name)]
        for name in (DEFAULT_ACCOUNT, ACME)
    }
    assert served == {DEFAULT_ACCOUNT: [own], ACME: [given]}
    # Whoever has an older list of companies, and asks for all of them, is given none of the other.
    (batch,) = claim(desk, DEFAULT_ACCOUNT, *both).batches
    (other,) = claim(desk, ACME, *both).batches
    assert (batch.company_id, batch.account_name) == (own, DEFAULT_ACCOUNT)
    assert (other.company_id, other.account_name) == (given, ACME)
    kept = "SELECT account_name FROM batch_assets.batch WHERE id = :id"
    assert [desk.value(kept, id=one.id) for one in (batch, other)] == [DEFAULT_ACCOUNT, ACME]


def test_what_is_planned_is_the_accounts_own(desk: Desk) -> None:
    (own, _), (given, _) = desk.company(3), desk.company(3)
    give(desk, given, ACME)
    its = replace(terms(a_policy(min_batch_requests=1)), account_name=ACME)
    (packing,) = desk.queries.preview([own, given], its)
    assert {one.company_id for one in packing.drafts} == {given}


def test_a_company_that_moves_leaves_what_is_under_way(desk: Desk) -> None:
    company_id, _ = desk.company(3)
    (batch,) = claim(desk, DEFAULT_ACCOUNT, company_id).batches
    give(desk, company_id, ACME)
    desk.more(company_id, 2)
    desk.upload(batch.lease)
    desk.submit(batch)
    assert [one.id for one in desk.queries.batches_in_flight(9)] == [batch.id]
    assert desk.queries.batches_in_flight(9, ACME) == []
    (later,) = claim(desk, ACME, company_id).batches
    assert (later.requests, later.account_name) == (2, ACME)
    desk.end(desk.in_flight(batch.id))
    of_acme = replace(desk.holder, account_name=ACME)
    assert desk.queries.take_ended(of_acme, 9) == []
    assert [one.id for one in desk.queries.take_ended(desk.holder, 9)] == [batch.id]


def test_what_was_cut_short_is_looked_up_with_the_account_that_it_was_claimed_for(
    desk: Desk,
) -> None:
    company_id, _ = desk.company(3)
    give(desk, company_id, ACME)
    (batch,) = claim(desk, ACME, company_id).batches
    desk.lapse(batch.id)
    of_acme = replace(desk.holder, account_name=ACME)
    assert desk.queries.take_unresolved(desk.holder, 9) == []
    assert [one.id for one in desk.queries.take_unresolved(of_acme, 9)] == [batch.id]


def test_files_are_left_to_the_account_that_has_them(desk: Desk) -> None:
    company_id, _ = desk.company(3)
    give(desk, company_id, ACME)
    (batch,) = claim(desk, ACME, company_id).batches
    desk.upload(batch.lease)
    desk.queries.release([batch.lease])
    assert desk.queries.leftovers(9) == []
    assert [one.batch_id for one in desk.queries.leftovers(9, ACME)] == [batch.id]


@pytest.mark.parametrize("is_cooling", [False, True])
def test_tokens_and_cooldowns_are_the_accounts_own(desk: Desk, is_cooling: bool) -> None:
    (own, _), (given, _) = desk.company(3), desk.company(3)
    give(desk, given, ACME)
    if is_cooling:
        Registry(desk.engine, 900).cool_model("gpt-4o-mini", Cooldown(600, 600, "no_room"))
        assert not claim(desk, DEFAULT_ACCOUNT, own).batches
    else:
        (first,) = claim(desk, DEFAULT_ACCOUNT, own).batches
        more, _ = desk.company(3)
        assert not claim(desk, DEFAULT_ACCOUNT, more, tokens=first.tokens).batches
        assert claim(desk, ACME, given, tokens=first.tokens).batches
        return
    assert claim(desk, ACME, given).batches


def test_each_has_its_own_snapshot(desk: Desk) -> None:
    company_id, _ = desk.company(3)
    give(desk, company_id, ACME)
    (batch,) = claim(desk, ACME, company_id).batches
    desk.upload(batch.lease)
    desk.submit(batch)
    own, its = (Registry(desk.engine, 900, name).snapshot() for name in (DEFAULT_ACCOUNT, ACME))
    assert (own.has_in_flight, own.newest_at) == (False, None)
    assert its.has_in_flight
    assert its.newest_at is not None
    # Its lists were never looked at from here.
    assert (own.installation.is_doubted, its.installation.is_doubted) == (False, True)
    registry = Registry(desk.engine, 900, ACME)
    registry.know_incarnation(its.installation.incarnation)
    registry.cool_account(Cooldown(600, 600, "insufficient_quota"))
    assert not registry.installation().is_doubted
    assert registry.installation().account_cooldown is not None
    assert Registry(desk.engine, 900).installation().account_cooldown is None

"""`batch-assets account`: which accounts there are, whom each serves, and what is left of one."""

import json

import pytest
from sqlalchemy import Engine

from batch_assets.store.company_accounts import CompanyAccounts
from batch_assets_tests.cli.conftest import Outcome, Type
from batch_assets_tests.cli.test_errors import assert_one_sentence
from batch_assets_tests.factories import make_company

NAME = "Zorggroep [bold]Oost"
ACME = {"BATCH_ACCOUNTS": "acme", "OPENAI_API_KEY_ACME": "sk-acme-canary-0123456789"}


@pytest.fixture
def company_id(engine: Engine) -> str:
    with engine.begin() as connection:
        return make_company(connection, name=NAME)


@pytest.fixture
def type_(typed: Type, configured: dict[str, str], company_id: str) -> Type:
    def type_here(*arguments: str, **environ: str) -> Outcome:
        return typed(*arguments, **{**configured, **environ})

    return type_here


def test_a_company_is_given_to_an_account_and_back(
    type_: Type, engine: Engine, company_id: str
) -> None:
    said = type_("account", "assign", NAME, "acme", **ACME)
    assert (said.code, said.err) == (0, "")
    assert "is served by the account acme from now on" in said.out
    assert CompanyAccounts(engine).of_company(company_id) == "acme"
    listed = json.loads(type_("account", "list", "--json", **ACME).out)
    assert [(one["account"], one["companies"]) for one in listed["accounts"]] == [
        ("default", 0),
        ("acme", 1),
    ]
    assert [one["company"] for one in listed["companies"]] == [NAME]
    shown = type_("account", "list", **ACME).out
    assert NAME in shown
    assert "canary" not in shown
    again = json.loads(type_("account", "assign", company_id, "acme", "--json", **ACME).out)
    assert (again["before"], again["account_name"]) == ("acme", "acme")
    assert type_("account", "assign", NAME, "default", **ACME).code == 0
    assert CompanyAccounts(engine).all() == []


def test_there_is_no_such_account(type_: Type) -> None:
    assert_one_sentence(type_("account", "assign", NAME, "acme"), 2, "no account 'acme'")
    assert_one_sentence(type_("plan", "--account", "acme"), 2, "no account 'acme'")


def test_an_account_that_was_taken_out_of_the_settings_is_named(
    type_: Type, engine: Engine, company_id: str
) -> None:
    CompanyAccounts(engine).assign(company_id, "acme", "the tests")
    said = "The account acme is not in BATCH_ACCOUNTS: 1 company that it serves waits"
    assert said in " ".join(type_("account", "list").out.split())
    found = json.loads(type_("status", "--json").out)["findings"]
    assert any(one["about"] == "accounts" and said in one["said"] for one in found)

"""`batch-assets budgets` and `budget`: what is set, shown and refused, also of a file."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_assets.stages.alerting import evaluate
from batch_assets.store.alerts import Alerts
from batch_assets_tests.cli.conftest import Outcome, Type
from batch_assets_tests.cli.test_errors import assert_one_sentence
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.policies import some_limits

NAME = "Zorggroep Oost"


@pytest.fixture
def type_(typed: Type, configured: dict[str, str], engine: Engine) -> Type:
    """Types a command on a database with two companies, of which one has requests."""
    with engine.begin() as connection:
        company_id = make_company(connection, name=NAME, company_id="c1")
        make_requests(connection, company_id, 12)
        make_company(connection, name="Twee, of drie", company_id="c2")
        connection.execute(
            text("UPDATE batch_assets.installation SET confirmed_at = CURRENT_TIMESTAMP")
        )

    def type_here(*arguments: str) -> Outcome:
        return typed(*arguments, **configured)

    return type_here


def listed(type_: Type) -> list[dict[str, Any]]:
    outcome = type_("budgets", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(outcome.out)["budgets"]
    return found


def test_a_budget_is_set_shown_held_by_and_taken_back(type_: Type) -> None:
    assert "No budget is set" in type_("budgets").out
    said = type_("budget", "set", "month", "0.0002", "--company", NAME.upper()).out
    assert said.startswith(f"{NAME} may spend 0.0002 EUR in a month (UTC) from now on: ")
    type_("budget", "set", "day", "40", "--all")
    assert [(one["company"], one["period"], one["budget_eur"]) for one in listed(type_)] == [
        (None, "day", 40),
        (NAME, "month", 0.0002),
    ]
    assert listed(type_)[1]["company_id"] == "c1"
    assert NAME in type_("budgets").out

    planned = json.loads(type_("plan", "--dry-run", "--json").out)
    (reason,) = planned["held_back"]
    assert reason.startswith(f"budget of {NAME} for ")
    assert "or after `batch-assets budget set`" in reason
    assert reason in type_("plan", "--dry-run").out

    type_("budget", "set", "month", "0", "--company", "c1")
    assert f"Budget of {NAME} for " in type_("status").out
    assert json.loads(type_("status", "--json").out)["budgets"] == listed(type_)
    said = type_("budget", "clear", "month", "--company", "c1").out
    assert said.startswith(f"The budget of {NAME} for a month is taken back: it was 0.0000 EUR")
    assert [one["period"] for one in listed(type_)] == ["day"]
    gone = type_("budget", "clear", "month", "--company", "c1")
    assert_one_sentence(gone, 2, "There is no budget of company 'c1' for a month")


def test_the_alert_of_a_budget_is_listed_with_what_to_do(type_: Type, engine: Engine) -> None:
    type_("budget", "set", "month", "0", "--company", "c1")
    type_("budget", "set", "day", "0", "--all")
    alerts = Alerts(engine)
    evaluate(alerts, some_limits())
    listed = json.loads(type_("alerts", "--company", NAME, "--json").out)["alerts"]
    assert [one["name"] for one in listed] == ["budget_month_of_c1"]
    assert "`batch-assets budget set month EUR --company c1`" in listed[0]["what_to_do"]
    assert "0.0000 of 0.0000 EUR for " in listed[0]["causes"][0]
    said = type_("alerts").out
    assert "`batch-assets budget set day EUR --all`" in said
    assert "budget_month_of_c1: " in said
    assert f"budget_month of {NAME}" in type_("status").out


def test_a_budget_of_a_deleted_company_is_cleared_by_its_id(type_: Type, engine: Engine) -> None:
    type_("budget", "set", "day", "5", "--company", "c2")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM public.\"Company\" WHERE id = 'c2'"))
    assert "c2 (deleted)" in type_("budgets").out
    assert type_("budget", "clear", "day", "--company", "c2").code == 0
    assert listed(type_) == []


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("set month 5", "Whose budget? Give --company, or --all"),
        ("set month 5 --all --company c1", "Whose budget?"),
        ("set week 5 --all", "The period is 'week': it must be day or month."),
        ("set month 1e13 --all", "The amount is '1e+13': it must be EUR from 0 to"),
        ("set month nan --all", "The amount is 'nan'"),
        (
            "set month 5 --company zorgroep",
            "the nearest name is 'Zorggroep Oost'; `batch-assets companies",
        ),
        ("clear day --all", "There is no budget of all companies for a day"),
        ("import /no/such/file.csv", "/no/such/file.csv cannot be read (No such file"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(type_: Type, command: str, sentence: str) -> None:
    assert_one_sentence(type_("budget", *command.split()), 2, sentence)


def test_of_a_file_with_a_fault_nothing_is_set(type_: Type, tmp_path: Path) -> None:
    file = tmp_path / "budgets.csv"
    file.write_text("company,period,eur\nc1,month,5\nc9,month,5\n", encoding="utf-8")
    refused = type_("budget", "import", str(file), "--only")
    assert_one_sentence(refused, 2, f"{file}, line 3: no company has the id or the name 'c9'")
    assert listed(type_) == []


def test_a_file_is_set_as_a_whole_and_alone_if_asked(type_: Type, tmp_path: Path) -> None:
    type_("budget", "set", "month", "7", "--all")
    file = tmp_path / "budgets.csv"
    lines = ["\ufeffCompany, Period ,EUR", f"{NAME.lower()},month,250.50", '"Twee, of drie",day,0']
    file.write_text("\r\n".join([*lines, "ALL,day,40", ""]), encoding="utf-8")

    def imported(*options: str) -> dict[str, Any]:
        outcome = type_("budget", "import", str(file), "--json", *options)
        assert (outcome.code, outcome.err) == (0, "")
        document: dict[str, Any] = json.loads(outcome.out)
        return document

    looked = imported("--dry-run", "--only")
    assert (looked["dry_run"], looked["set"], looked["taken_back"]) == (True, 3, 1)
    assert len(listed(type_)) == 1
    assert imported()["taken_back"] == 0
    wanted = [("c1", "month", 250.5), ("c2", "day", 0), (None, "day", 40), (None, "month", 7)]

    def known() -> list[tuple[Any, ...]]:
        return [(one["company_id"], one["period"], one["budget_eur"]) for one in listed(type_)]

    assert sorted(known(), key=str) == sorted(wanted, key=str)
    assert imported("--only")["taken_back"] == 1
    assert sorted(known(), key=str) == sorted(wanted[:3], key=str)
    said = type_("budget", "import", str(file), "--dry-run").out
    assert said == "3 budgets would be set, 0 taken back.\n"

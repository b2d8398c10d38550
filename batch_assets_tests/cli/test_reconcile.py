"""`batch-assets reconcile`: a month's cost beside the figure of an invoice."""

import json

import pytest
from sqlalchemy import Engine, text

from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.factories import make_company

BATCHES = (
    # Model, claimed, ended, USD, answers without a price.
    ("gpt-4o-mini", "2026-10-31 23:00+00", "2026-11-01 02:00+00", 3.0, 0),
    ("gpt-4o-mini", "2026-11-02 10:00+00", "2026-11-02 11:00+00", 90.0, 0),
    ("gpt-5-mini", "2026-11-15 10:00+00", "2026-11-15 11:00+00", 9.0, 4),
    ("gpt-5-mini", "2026-11-30 23:59+00", "2026-12-01 03:00+00", 11.0, 0),
)


@pytest.fixture
def configured(database_url: str, engine: Engine) -> dict[str, str]:
    """A database whose November has cost 110 USD by sending, and 102 by the end."""
    with engine.begin() as connection:
        company = make_company(connection)
        for number, (model, claimed_at, ended_at, usd, unpriced) in enumerate(BATCHES):
            connection.execute(
                text(
                    "INSERT INTO batch_assets.batch (id, installation_id, company_id, model, state,"
                    " requests, openai_batch_id, server_status, server_status_since, claimed_at,"
                    " submitted_at, ended_at, finalized_at, completed, cost_usd, cost_eur,"
                    " usd_to_eur, unpriced)"
                    " SELECT :id, :id, :company, :model, 'finalized', 2, :id, 'completed', now(),"
                    " CAST(:claimed_at AS timestamptz), now(), CAST(:ended_at AS timestamptz),"
                    " now(), 2, :usd, :usd / 2, 0.5, :unpriced"
                ),
                {"id": f"b{number}", "company": company, "model": model, "usd": usd}
                | {"claimed_at": claimed_at, "ended_at": ended_at, "unpriced": unpriced},
            )
        connection.execute(
            text(
                "UPDATE batch_assets.batch SET unattributed_usd = 0.5, unattributed_eur = 0.25,"
                " unattributed_is_estimated = true WHERE id = 'b1'"
            )
        )
    return {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY}


def asked(usd: str, *more: str) -> list[str]:
    return ["reconcile", "--month", "2026-11", "--usd", usd, *more]


@pytest.mark.parametrize("usd", ["110.5", "102.4", "111.5"])
def test_an_invoice_near_one_of_the_two_sums_agrees(
    typed: Type, configured: dict[str, str], usd: str
) -> None:
    shown = typed(*asked(usd), **configured)
    assert (shown.code, shown.err) == (0, "")
    assert "They agree" in shown.out
    assert "Sent in 2026-11 (UTC): 110.50 USD. Ended in it: 102.50 USD." in shown.out


def test_one_that_is_not_exits_with_1_and_what_may_explain_it(
    typed: Type, configured: dict[str, str]
) -> None:
    shown = typed(*asked("150"), **configured)
    assert (shown.code, shown.err) == (1, "")
    for said in (
        "They differ: the invoice has 39.5000 USD (26.33%) more than what is known here",
        "The cost of 4 answers is not known",
        "20.00 + ?",
        "0.5000 USD are an estimate",
        "11.0000 USD were sent in the month and ended after it, 3.0000 USD were sent before",
        "other programs",
    ):
        assert said in shown.out
    assert typed(*asked("150", "--within", "30"), **configured).code == 0
    less = typed(*asked("50"), **configured)
    assert less.code == 1
    assert "52.5000 USD (105.00%) less" in less.out

    document = json.loads(typed(*asked("150", "--json"), **configured).out)
    assert (document["billed_usd"], document["billed_by_end_usd"]) == (110.5, 102.5)
    assert document["agrees"] is False
    models = {one["model"]: one for one in document["models"]}
    assert models["gpt-4o-mini"]["billed_usd"] == 90.5
    assert models["gpt-4o-mini"]["estimated_usd"] == 0.5
    assert models["gpt-5-mini"]["unpriced_answers"] == 4


def test_a_month_of_nothing_and_one_that_is_none(typed: Type, configured: dict[str, str]) -> None:
    nothing = typed("reconcile", "--month", "2020-12", "--usd", "0", **configured)
    assert nothing.code == 0
    assert "Nothing was sent in 2020-12." in nothing.out
    wrong = typed("reconcile", "--month", "2026-13", "--usd", "1", **configured)
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("--month is '2026-13': it must be a month such as 2026-01.")
    last = typed("reconcile", "--month", "9999-12", "--usd", "1", **configured)
    assert last.err.startswith("--month is '9999-12': it must be a month such as 2026-01.")
    for usd in ("nan", "inf", "1e+308"):
        wrong = typed(*asked(usd), **configured)
        assert (wrong.code, wrong.out) == (2, "")
        assert wrong.err == f"--usd is {usd}: it must be a number from 0 to 1,000,000,000,000.\n"
    wrong = typed(*asked("1", "--within", "101"), **configured)
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err == "--within is 101.0: it must be a number from 0 to 100.\n"

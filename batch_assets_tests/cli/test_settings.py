"""`batch-assets settings`: every setting, as it is here, and no secret."""

import json

import pytest

from batch_assets.settings import all_settings
from batch_assets_tests.cli.conftest import Type

SECRETS = {
    "DATABASE_URL": "postgresql://user:canary@db.example/livedash",
    "DAGSTER_DATABASE_URL": "postgresql://user:canary@db.example/dagster",
    "OPENAI_API_KEY": "sk-canary",
    "OPENAI_BASE_URL": "https://user:canary@api.example/v1",
    "BATCH_ALERT_WEBHOOK_URL": "https://hooks.example/canary",
}


def test_each_is_shown_with_its_value_and_as_it_was_declared(typed: Type) -> None:
    given = {"BATCH_MIN_SIZE": "7", "BATCH_UI_HOSTS": "a.example,b.example"}
    shown = json.loads(typed("settings", "--json", **given).out)["settings"]
    assert [one["name"] for one in shown] == [setting.name for setting in all_settings()]
    by_name = {one.pop("name"): one for one in shown}
    assert by_name["BATCH_MIN_SIZE"] == {
        "value": 7,
        "default": 10,
        "allowed": "a whole number from 1 to 50,000",
        "meaning": "A company's requests are sent once so many wait, "
        "or as BATCH_MAX_WAIT_MINUTES says.",
    }
    assert by_name["BATCH_UI_HOSTS"]["value"] == "a.example,b.example"
    assert by_name["BATCH_MAX_WAIT_MINUTES"]["value"] == 30
    assert by_name["BATCH_SERVER_PROFILE"]["meaning"].endswith("see docs/servers.md.")


def test_a_secret_is_only_said_to_be_set(typed: Type) -> None:
    for form in ((), ("--json",)):
        outcome = typed("settings", *SECRETS, *form, **SECRETS)
        assert outcome.code == 0
        assert outcome.out.count("set") >= len(SECRETS)
        assert "canary" not in outcome.out + outcome.err


MISPLACED = {
    "BATCH_ALERT_PAGERDUTY_URL": "https://user:canary@proxy.example/enqueue",
    "BATCH_UI_URL": "https://ui.example/?token=canary",
    "BATCH_UI_HOSTS": "a.example,sk-canary",
    "BATCH_SPOOL_DIR": "/tmp/w0rd4711",
    "BATCH_LOCAL_STACK": "canary0a1b2c3d4e5f6a7b8c9d",
    "BATCH_TOKEN_ALLOWANCES": "w0rd4711=5",
    "BATCH_MAX_REQUESTS": "1234",
}


@pytest.mark.parametrize("name", MISPLACED)
def test_what_may_be_a_secret_is_not_shown_wherever_it_was_put(typed: Type, name: str) -> None:
    given = {
        "DATABASE_URL": "postgresql://user:w0rd4711@db.example/livedash",
        "OPENAI_API_KEY": "1234",
        name: MISPLACED[name],
    }
    for form in ((), ("--json",)):
        outcome = typed("settings", name, *form, **given)
        assert outcome.code == 0
        assert not any(one in outcome.out for one in ("canary", "w0rd4711", "1234"))
        assert "set" in outcome.out


def test_what_only_looks_a_little_like_one_is_shown(typed: Type) -> None:
    given = {
        "BATCH_UI_URL": "https://ec2-12-34-56-78.eu-west-1.compute.example:3000/dagster",
        "BATCH_SPOOL_DIR": "/var/lib/batch-assets-production2/spool",
        "BATCH_TOKEN_ALLOWANCES": "gpt-4o-mini-2024-07-18=900000",
        "BATCH_ALERT_PAGERDUTY_URL": "https://events.eu.pagerduty.com/v2/enqueue",
        "DATABASE_URL": "postgresql://user:a@db.example/livedash",
        "OPENAI_API_KEY": "sk-canary",
    }
    shown = json.loads(typed("settings", "--json", **given).out)["settings"]
    by_name = {one["name"]: one["value"] for one in shown}
    for name in ("BATCH_UI_URL", "BATCH_SPOOL_DIR", "BATCH_ALERT_PAGERDUTY_URL"):
        assert by_name[name] == given[name]
    assert by_name["BATCH_TOKEN_ALLOWANCES"] == {"gpt-4o-mini-2024-07-18": 900_000}


def test_a_name_that_is_none_is_refused_with_the_nearest(typed: Type) -> None:
    outcome = typed("settings", "BATCH_MINSIZE")
    assert outcome.code == 2
    assert (
        outcome.err == "There is no setting 'BATCH_MINSIZE': the nearest one is BATCH_MIN_SIZE.\n"
    )


def test_it_says_all_that_is_wrong(typed: Type) -> None:
    outcome = typed("settings", BATCH_MIN_SIZE="ten", BATCH_LEASE_SECONDS="5")
    assert (outcome.code, outcome.err.count("must be")) == (2, 2)

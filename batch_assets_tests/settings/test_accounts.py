"""Further accounts: each has variables of its own, and takes nothing of the default's."""

import pytest

from batch_assets.domain.errors import ConfigurationError, WrongSettingsError
from batch_assets.openai_batch.account import account_of
from batch_assets.settings import load_settings
from batch_assets.wiring import connect, local_environment

ONE = {
    "DATABASE_URL": "postgresql://u:p@host/livedash",
    "OPENAI_API_KEY": "sk-default-0123456789",
    "OPENAI_PROJECT_ID": "proj_default",
    "BATCH_HOURLY_BATCHES": "100",
}
TWO = {**ONE, "BATCH_ACCOUNTS": "acme", "OPENAI_API_KEY_ACME": "sk-acme-0123456789"}


def test_without_any_there_is_the_default_alone() -> None:
    settings = load_settings(ONE)
    assert settings.account_names == ("default",)
    assert connect(settings).account_name == settings.account_name == "default"
    with pytest.raises(ConfigurationError, match="BATCH_ACCOUNTS names none"):
        settings.of_account("acme")


def test_another_one_has_its_own_and_shares_the_rest() -> None:
    given = {
        **TWO,
        "BATCH_MIN_SIZE": "7",
        "OPENAI_BASE_URL_ACME": "https://acme.openai.azure.com/openai/v1",
        "BATCH_HOURLY_BATCHES_ACME": "5",
    }
    settings = load_settings(given)
    acme = settings.of_account("acme")
    own, its = connect(settings), connect(acme)
    assert (own.api_key, its.api_key) == (TWO["OPENAI_API_KEY"], TWO["OPENAI_API_KEY_ACME"])
    assert (own.profile.name, its.profile.name) == ("openai", "azure")
    assert own.database_url == its.database_url
    assert (settings.hourly_batches, acme.hourly_batches) == (100, 5)
    assert acme.min_batch_requests == 7
    assert (settings.project.id, acme.project.id) == ("proj_default", None)
    assert account_of("k", "u", settings.project) != account_of("k", "u", acme.project)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {**TWO, "BATCH_HOURLY_BATCHES_ACME": "many"},
            "BATCH_HOURLY_BATCHES_ACME is 'many': it must be a whole number",
        ),
        ({**TWO, "BATCH_ACCOUNTS": "default"}, "BATCH_ACCOUNTS is 'default': it must be names"),
        ({**TWO, "BATCH_ACCOUNTS": "Ac me"}, "BATCH_ACCOUNTS is 'Ac me': it must be names"),
        (
            {**TWO, "OPENAI_CUSTOM_HEADERS": "X-Route: a\nauthorization: Bearer sk-default"},
            "OPENAI_CUSTOM_HEADERS has authorization, which would go out with the calls of every",
        ),
    ],
)
def test_what_is_wrong_is_named_as_it_is_called(given: dict[str, str], said: str) -> None:
    with pytest.raises(WrongSettingsError, match=said):
        load_settings(given)


@pytest.mark.parametrize(
    ("given", "account", "said"),
    [
        (ONE | {"BATCH_ACCOUNTS": "acme"}, "acme", "OPENAI_API_KEY_ACME is missing although"),
        (
            {"BATCH_ACCOUNTS": "acme", "OPENAI_API_KEY_ACME": "sk-acme-0123456789"},
            "default",
            "DATABASE_URL and OPENAI_API_KEY are missing although OPENAI_API_KEY_ACME is set",
        ),
    ],
)
def test_a_key_never_meets_the_local_stack(given: dict[str, str], account: str, said: str) -> None:
    with pytest.raises(WrongSettingsError, match=said):
        connect(load_settings(given).of_account(account))


def test_one_that_is_named_twice_is_one() -> None:
    names = load_settings({**TWO, "BATCH_ACCOUNTS": "acme, acme"}).account_names
    assert names == ("default", "acme")


def test_headers_that_name_nobody_go_with_all() -> None:
    load_settings({**TWO, "OPENAI_CUSTOM_HEADERS": "x-portkey-provider: openai"})
    load_settings({**ONE, "OPENAI_CUSTOM_HEADERS": "OpenAI-Project: proj_default"})


def test_nothing_of_a_key_is_shown() -> None:
    given = {**TWO, "BATCH_HOURLY_BATCHES_ACME": TWO["OPENAI_API_KEY_ACME"]}
    with pytest.raises(WrongSettingsError) as raised:
        load_settings(given)
    assert "0123456789" not in str(raised.value) + repr(connect(load_settings(TWO)))


def test_a_local_stacks_programs_are_given_none_of_them() -> None:
    assert local_environment(TWO) == {
        "OPENAI_PROJECT_ID": "proj_default",
        "BATCH_HOURLY_BATCHES": "100",
        "BATCH_LOCAL_STACK": "default",
    }

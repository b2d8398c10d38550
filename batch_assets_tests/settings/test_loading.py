"""How an environment is read: what is refused and warned of, and what no sentence repeats."""

import logging
from collections.abc import Callable, Iterator

import pytest

from batch_assets.domain.errors import ConfigurationError
from batch_assets.settings import all_settings, load_settings, loading


def refusal(**environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ)
    return str(caught.value).split("\n")


def test_an_empty_value_is_no_value() -> None:
    assert load_settings({"BATCH_MIN_SIZE": " ", "OPENAI_API_KEY": ""}) == load_settings({})


def test_it_reads_this_process_environment_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BATCH_MIN_SIZE", "7")
    assert load_settings().min_batch_requests == 7
    assert load_settings({}).min_batch_requests == 10


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("BATCH_MIN_SIZE", "ten", "a whole number from 1 to 50,000"),
        ("BATCH_MIN_SIZE", "0", "a whole number from 1 to 50,000"),
        ("BATCH_MAX_REQUESTS", "50001", "a whole number from 1 to 50,000"),
        ("USD_TO_EUR_RATE", "nan", "a number from 0.01 to 100"),
        ("USD_TO_EUR_RATE", "0,85", "a number from 0.01 to 100"),
        ("BATCH_SCHEDULES_ENABLED", "perhaps", "true or false"),
        ("BATCH_SPOOL_DIR", "spool", "an absolute path"),
        ("DAGSTER_HOME", ".local/dagster", "an absolute path"),
        ("DAGSTER_HOME", "~no-such-user/dagster", "an absolute path"),
        ("BATCH_LOCAL_STACK", "../up", "up to 40 of a-z, 0-9, - and _"),
        ("BATCH_UI_URL", "dagster.example", "a URL http://… or https://…"),
        (
            "BATCH_TOKEN_ALLOWANCES",
            "gpt-4o-mini",
            "pairs such as gpt-4o-mini=2000000,gpt-4.1=900000",
        ),
        ("BATCH_TOKEN_ALLOWANCES", "=5", "pairs such as gpt-4o-mini=2000000,gpt-4.1=900000"),
        ("BATCH_TOKEN_ALLOWANCES", "a=0", "pairs such as gpt-4o-mini=2000000,gpt-4.1=900000"),
        ("USD_TO_EUR_RATE", "inf", "a number from 0.01 to 100"),
        ("USD_TO_EUR_RATE", "-1", "a number from 0.01 to 100"),
        (
            "BATCH_MODEL_PRICES",
            "m=0/0.6",
            "pairs such as my-model=0.15/0.6,other=1/0.5/4,ours=free",
        ),
        (
            "BATCH_MODEL_PRICES",
            "m=0.1/0",
            "pairs such as my-model=0.15/0.6,other=1/0.5/4,ours=free",
        ),
        (
            "BATCH_MODEL_PRICES",
            "m=nan/1",
            "pairs such as my-model=0.15/0.6,other=1/0.5/4,ours=free",
        ),
        (
            "BATCH_MODEL_PRICES",
            "m=1/inf",
            "pairs such as my-model=0.15/0.6,other=1/0.5/4,ours=free",
        ),
        (
            "BATCH_MODEL_PRICES",
            "m=1/2/3/4",
            "pairs such as my-model=0.15/0.6,other=1/0.5/4,ours=free",
        ),
        (
            "BATCH_MODEL_PRICES",
            "m=cheap",
            "pairs such as my-model=0.15/0.6,other=1/0.5/4,ours=free",
        ),
        (
            "BATCH_MODEL_PRICES",
            "m=1e12/1",
            "pairs such as my-model=0.15/0.6,other=1/0.5/4,ours=free",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: str, sentence: str) -> None:
    assert refusal(**{name: value}) == [f"{name} is '{value}': it must be {sentence}."]


@pytest.mark.parametrize(
    "price",
    ["0/0.6", "0.1/0", "1/0/2", "nan/1", "1/inf", "-1/2", "1", "1/2/3/4", "", "cheap", "1e12/1"],
)
def test_what_is_no_price_is_refused(price: str) -> None:
    allowed = "pairs such as my-model=0.15/0.6,other=1/0.5/4,ours=free"
    value = f"a=1/2,b={price}"
    assert refusal(BATCH_MODEL_PRICES=value) == [
        f"BATCH_MODEL_PRICES is '{value}': it must be {allowed}."
    ]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What was warned of in this test, by a process that has said nothing before."""
    loading._warn_once.cache_clear()
    yield lambda: [record.message for record in caplog.records if record.levelname == "WARNING"]
    loading._warn_once.cache_clear()


@pytest.mark.parametrize(("value", "is_on"), [("false", False), ("true", True)])
def test_the_former_name_of_the_schedules_switch_is_read_with_one_warning(
    value: str, is_on: bool, said: Callable[[], list[str]]
) -> None:
    for _ in range(3):
        assert load_settings({"BATCH_PROCESSING_ENABLED": value}).schedules_enabled is is_on
    assert said() == [
        "BATCH_PROCESSING_ENABLED is called BATCH_SCHEDULES_ENABLED now: "
        "the old name is read in this version only."
    ]


@pytest.mark.parametrize(("former", "new"), [("true", "false"), ("false", "true")])
def test_the_new_name_wins_over_the_former_and_what_contradicts_is_said(
    former: str, new: str, said: Callable[[], list[str]]
) -> None:
    environ = {"BATCH_PROCESSING_ENABLED": former, "BATCH_SCHEDULES_ENABLED": new}
    assert load_settings(environ).schedules_enabled is (new == "true")
    assert said() == [
        f"BATCH_PROCESSING_ENABLED is '{former}' and BATCH_SCHEDULES_ENABLED, as it is called now, "
        f"is '{new}': what the new name says holds. Remove the old one."
    ]


def test_a_contradiction_that_may_be_a_secret_is_not_quoted(said: Callable[[], list[str]]) -> None:
    load_settings({"BATCH_LIVE_LEAD_MINUTES": "sk-canary", "BATCH_SYNCHRONOUS_LEAD_MINUTES": "5"})
    assert said() == [
        "BATCH_LIVE_LEAD_MINUTES is one thing and BATCH_SYNCHRONOUS_LEAD_MINUTES, as it is called "
        "now, is another: what the new name says holds. Remove the old one."
    ]


def test_both_names_may_say_the_same(said: Callable[[], list[str]]) -> None:
    environ = {"BATCH_PROCESSING_ENABLED": "False", "BATCH_SCHEDULES_ENABLED": "false"}
    assert not load_settings(environ).schedules_enabled
    assert said() == [
        "BATCH_PROCESSING_ENABLED is called BATCH_SCHEDULES_ENABLED now, which is set, too: "
        "remove the old name."
    ]


def test_nothing_is_warned_of_the_new_name(said: Callable[[], list[str]]) -> None:
    assert not load_settings({"BATCH_SCHEDULES_ENABLED": "false"}).schedules_enabled
    assert load_settings({"BATCH_PROCESSING_ENABLED": " "}).schedules_enabled
    assert said() == []


def test_a_wrong_value_is_shown_under_the_name_that_was_given() -> None:
    assert refusal(BATCH_PROCESSING_ENABLED="perhaps") == [
        "BATCH_PROCESSING_ENABLED is 'perhaps': it must be true or false."
    ]


def test_several_wrong_values_get_a_line_each() -> None:
    lines = refusal(
        BATCH_MIN_SIZE="ten", BATCH_OP_SECONDS="0", BATCH_TOKEN_ALLOWANCES="a=1,b=x,c=y"
    )
    assert [line.split(" ")[0] for line in lines] == [
        "BATCH_OP_SECONDS",
        "BATCH_MIN_SIZE",
        "BATCH_TOKEN_ALLOWANCES",
    ]


def test_values_that_contradict_each_other_are_all_named() -> None:
    assert refusal(
        BATCH_MIN_SIZE="2000", BATCH_RETRY_MAX_SECONDS="60", BATCH_LEASE_SECONDS="880"
    ) == [
        "BATCH_MIN_SIZE is 2000 and BATCH_MAX_REQUESTS is 1000: "
        "the first must not be more than the second.",
        "BATCH_RETRY_BASE_SECONDS is 300 and BATCH_RETRY_MAX_SECONDS is 60: "
        "the first must not be more than the second.",
        "BATCH_LEASE_SECONDS is 880: it must be more than 880, which the longest call may take.",
    ]


def test_secrets_are_shown_nowhere() -> None:
    secret = "canary-3f1b"
    names = ("DATABASE_URL", "DAGSTER_DATABASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")
    environ = dict.fromkeys(names, f"postgresql://user:{secret}@host/name")
    environ["BATCH_ALERT_WEBHOOK_URL"] = f"https://user:{secret}@host/name"
    environ["BATCH_ALERT_PAGERDUTY_ROUTING_KEY"] = secret.replace("-", "") + "0" * 22
    assert "canary3f1b" not in repr(load_settings(environ))
    assert secret not in repr(load_settings(environ))
    assert secret not in str(load_settings(environ).model_dump())
    assert secret not in "\n".join(refusal(**environ, BATCH_MIN_SIZE="ten"))


def test_a_hostname_is_no_address() -> None:
    assert refusal(BATCH_UI_HOSTS="https://a.example") == [
        "BATCH_UI_HOSTS is 'https://a.example': it must be names such as "
        "dagster.example.com,10.0.0.5."
    ]


def test_a_webhook_is_called_by_http_and_https_only_and_never_quoted() -> None:
    for url in ("ftp://canary.example", "file:///canary", "canary"):
        assert refusal(BATCH_ALERT_WEBHOOK_URL=url) == [
            "BATCH_ALERT_WEBHOOK_URL is wrong: it must be a URL http://… or https://…."
        ]
    assert load_settings({"BATCH_ALERT_WEBHOOK_URL": "HTTPS://a.example"}).alert_webhook_url


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/canary",
        "http://",
        "https:///canary",
        "http://h:99999/canary",
        "http://h:port/canary",
        "http://h:0/canary",
        "http://user:canary@",
        "http://a..b/canary",
        f"http://{'a' * 64}/canary",
        "http://h/can ary",
        "http://h/can\tary",
        "http://h/can\u202eary",
    ],
)
def test_an_address_without_a_host_is_refused_when_it_is_read(url: str) -> None:
    for name in ("BATCH_ALERT_WEBHOOK_URL", "BATCH_ALERT_PAGERDUTY_URL", "BATCH_UI_URL"):
        (sentence,) = refusal(**{name: url})
        assert sentence.startswith(f"{name} is ")
        assert sentence.endswith(": it must be a URL http://… or https://….")
        assert "canary" not in sentence
        assert load_settings({name: "HTTPS://user:p%40w@[::1]:8443/x?y=z#1"})
        assert load_settings({name: "http://bücher.example"})


def test_the_key_of_pagerduty_has_its_form_and_is_never_quoted() -> None:
    for key in ("canary", "e+kd5BWM-NCknhB3XnYg", "x" * 33, "x" * 31 + "-", "x" * 31 + "é"):
        assert refusal(BATCH_ALERT_PAGERDUTY_ROUTING_KEY=key) == [
            "BATCH_ALERT_PAGERDUTY_ROUTING_KEY is wrong: it must be the 32 letters and digits of "
            "an integration's key."
        ]
    key = "canary00" * 4
    for there in ("BATCH_ALERT_PAGERDUTY_URL", "BATCH_UI_HOSTS"):
        sentences = refusal(BATCH_ALERT_PAGERDUTY_ROUTING_KEY=key, **{there: f"//{key}"})
        assert len(sentences) == 1
        assert key not in sentences[0]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert refusal(
        BATCH_MIN_SIZE="ten",
        BATCH_LEASE_SECONDS="5",
        BATCH_RETRY_MAX_SECONDS="60",
        DATABASE_URL="postgresql://user:canary@host:port/livedash",
        OPENAI_BASE_URL="api.example/v1",
    ) == [
        "BATCH_MIN_SIZE is 'ten': it must be a whole number from 1 to 50,000.",
        "BATCH_RETRY_BASE_SECONDS is 300 and BATCH_RETRY_MAX_SECONDS is 60: "
        "the first must not be more than the second.",
        "BATCH_LEASE_SECONDS is 5: it must be more than 880, which the longest call may take.",
        "OPENAI_API_KEY is missing although DATABASE_URL and OPENAI_BASE_URL are set: "
        "set DATABASE_URL and OPENAI_API_KEY, or none of DATABASE_URL, DAGSTER_DATABASE_URL, "
        "OPENAI_API_KEY, OPENAI_BASE_URL for the local stack.",
        "The database URL cannot be read: it must look like "
        "postgresql://user:password@host:5432/database, with special characters in the password, "
        "and behind the ?, written as %XX.",
        "OPENAI_BASE_URL is no address of an API: set it to one such as "
        "https://api.openai.com/v1, or not at all.",
    ]


def test_what_a_wrong_value_would_contradict_is_not_said_of_its_default() -> None:
    assert refusal(BATCH_MIN_SIZE="ten", BATCH_MAX_REQUESTS="5") == [
        "BATCH_MIN_SIZE is 'ten': it must be a whole number from 1 to 50,000."
    ]


def test_what_the_local_stack_does_not_use_is_not_judged() -> None:
    environ = {"BATCH_LOCAL_STACK": "mine", "DATABASE_URL": "canary", "BATCH_MIN_SIZE": "ten"}
    assert refusal(**environ) == [
        "BATCH_MIN_SIZE is 'ten': it must be a whole number from 1 to 50,000."
    ]


CANARY = "canary-3f1b"
MALFORMED = [
    f"postgresql://user:{CANARY}@host:port/name",
    f"postgresql:/user:{CANARY}@host/name",
    f"user:{CANARY}@host/name",
    f"mysql://user:{CANARY}@host/name",
    f"postgresql://user:{CANARY}#1@host/name",
    f"postgresql://host/name?user=user&password={CANARY}&host=a",
    f"postgresql://user:p@{CANARY}@host:99999/name",
]


@pytest.mark.parametrize("name", ["DATABASE_URL", "DAGSTER_DATABASE_URL", "OPENAI_BASE_URL"])
@pytest.mark.parametrize("url", MALFORMED)
def test_no_sentence_has_the_password_of_a_malformed_url(name: str, url: str) -> None:
    lines = refusal(**{name: url, "BATCH_MIN_SIZE": "ten", "OPENAI_API_KEY": "sk-x"})
    assert len(lines) > 1
    assert CANARY not in "\n".join(lines)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-canary",
        "sk-proj-AbC123",
        "gsk_canary",
        "3d1f0cceabcd4e5f8a9b0c1d2e3f4a5b",
        "postgresql://user:canary@host/name",
        "https://hooks.example.com/canary?token=1",
        "Bearer sk-canary",
    ],
)
def test_no_sentence_has_a_secret_that_was_put_into_a_wrong_place(secret: str) -> None:
    refused = {}
    for setting in all_settings():
        try:
            load_settings({setting.name: secret})
        except ConfigurationError as error:
            refused[setting.name] = str(error).split("\n")
    assert len(refused) > 55
    for name, lines in refused.items():
        assert [line.split(" ")[0] for line in lines] == [name]
        assert secret not in lines[0]


def test_what_a_secret_setting_has_is_not_quoted_of_another_one() -> None:
    environ = {
        "DATABASE_URL": "postgresql://user:hunt%20er@host/name",
        "OPENAI_API_KEY": "short",
        "BATCH_MIN_SIZE": "hunt er",
        "BATCH_MAX_REQUESTS": "short",
    }
    assert refusal(**environ) == [
        "BATCH_MIN_SIZE is wrong: it must be a whole number from 1 to 50,000.",
        "BATCH_MAX_REQUESTS is wrong: it must be a whole number from 1 to 50,000.",
    ]


def test_pydantics_own_error_is_nowhere_in_what_is_raised() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"BATCH_MIN_SIZE": "sk-canary", "BATCH_ALERT_WEBHOOK_URL": "ftp://canary"})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_settings_library_logs_no_value_when_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    with caplog.at_level(logging.DEBUG):
        load_settings({"OPENAI_API_KEY": CANARY})
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("BATCH_MIN_SIZES", "BATCH_MIN_SIZE"),
        ("BATCH_ALERT_TRESHOLD_ERROR_RATE", "BATCH_ALERT_THRESHOLD_ERROR_RATE"),
        ("BATCH_LOCALSTACK", "BATCH_LOCAL_STACK"),
    ],
)
def test_an_unknown_name_is_a_warning_with_the_nearest_known_one(
    name: str, nearest: str, said: Callable[[], list[str]]
) -> None:
    for _ in range(2):
        assert load_settings({name: CANARY}) == load_settings({})
    assert said() == [f"{name} is no setting, and nothing reads it: the nearest name is {nearest}."]


def test_a_name_that_is_like_none_is_a_warning_too(said: Callable[[], list[str]]) -> None:
    load_settings({"BATCH_XQZJ": "1"})
    assert said() == ["BATCH_XQZJ is no setting, and nothing reads it."]


def test_nothing_is_warned_of_names_that_are_known_empty_or_not_ours(
    said: Callable[[], list[str]],
) -> None:
    load_settings(
        {
            "BATCH_CREATE_INTERVAL": "*/5 * * * *",
            "BATCH_ASSETS_DEV": "1",
            "BATCH_EMPTY": " ",
            "AWS_BATCH_JOB_ID": "1",
            "SESSION_PROCESSING_BATCH_SIZE": "0",
            "BATCH_MIN_SIZE": "7",
        }
    )
    assert said() == []


def test_each_name_of_version_0_1_says_what_its_new_one_does(said: Callable[[], list[str]]) -> None:
    renamed = {one.former: one for one in all_settings() if one.former is not None}
    assert {old: one.name for old, one in renamed.items()} == {
        "BATCH_PROCESSING_ENABLED": "BATCH_SCHEDULES_ENABLED",
        "BATCH_MODEL_PAUSE_SECONDS": "BATCH_MODEL_COOLDOWN_SECONDS",
        "BATCH_QUARANTINE_SUBMISSIONS": "BATCH_BISECTION_SUBMISSIONS",
        "BATCH_PAUSE_AFTER_FAILED_RUNS": "BATCH_COOLDOWN_AFTER_FAILED_RUNS",
        "BATCH_PAUSE_MINUTES": "BATCH_COOLDOWN_MINUTES",
        "BATCH_LIVE_RETRIES": "BATCH_SYNCHRONOUS_RETRIES",
        "BATCH_LIVE_RUN_MAX_REQUESTS": "BATCH_SYNCHRONOUS_RUN_MAX_REQUESTS",
        "BATCH_LIVE_DAY_MAX_REQUESTS": "BATCH_SYNCHRONOUS_DAY_MAX_REQUESTS",
        "BATCH_LIVE_DAY_MAX_COST_EUR": "BATCH_SYNCHRONOUS_DAY_MAX_COST_EUR",
        "BATCH_LIVE_LEAD_MINUTES": "BATCH_SYNCHRONOUS_LEAD_MINUTES",
    }
    for old, one in renamed.items():
        value = str(not one.default) if isinstance(one.default, bool) else "7"
        given = load_settings({old: value})
        assert given == load_settings({one.name: value})
        assert getattr(given, one.attribute) != one.default
    assert len(said()) == len(renamed)

"""The settings: defaults, limits, sentences, and the table that documents them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batch_assets.domain.alerts.records import Limits
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.policy import Caps, Policy
from batch_assets.settings import Settings, allowed_values, load_settings, loading

DOCUMENTATION = Path(__file__).parents[1] / "docs" / "configuration.md"


def refusal(**environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ)
    return str(caught.value).split("\n")


def test_an_empty_environment_gives_the_policys_own_defaults() -> None:
    assert load_settings({}).policy() == Policy()


def test_an_empty_value_is_no_value() -> None:
    assert load_settings({"BATCH_MIN_SIZE": " ", "OPENAI_API_KEY": ""}) == load_settings({})


def test_it_reads_this_process_environment_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BATCH_MIN_SIZE", "7")
    assert load_settings().min_batch_requests == 7
    assert load_settings({}).min_batch_requests == 10


def test_every_number_reaches_the_policy() -> None:
    environ = {
        "BATCH_MIN_SIZE": "11",
        "BATCH_MAX_WAIT_MINUTES": "2.5",
        "BATCH_MAX_REQUESTS": "900",
        "BATCH_MAX_BYTES": "5000",
        "BATCH_TOKEN_ALLOWANCE": "90000",
        "BATCH_TOKEN_ALLOWANCES": "gpt-4o-mini=2000000, gpt-4.1=900000",
        "BATCH_MODEL_PAUSE_SECONDS": "61",
        "BATCH_RUN_MAX_REQUESTS": "1",
        "BATCH_DAY_MAX_REQUESTS": "2",
        "BATCH_COMPANY_DAY_MAX_REQUESTS": "3",
        "BATCH_RUN_MAX_COST_EUR": "4.5",
        "BATCH_DAY_MAX_COST_EUR": "5.5",
        "BATCH_COMPANY_DAY_MAX_COST_EUR": "6.5",
        "USD_TO_EUR_RATE": "0.9",
        "BATCH_MAX_ATTEMPTS": "4",
        "BATCH_RETRY_BASE_SECONDS": "10",
        "BATCH_RETRY_MAX_SECONDS": "20",
        "BATCH_LEASE_SECONDS": "1000",
        "BATCH_ABSENCE_GRACE_SECONDS": "30",
        "BATCH_ROWS_PER_RUN": "50",
        "BATCH_OP_SECONDS": "40",
    }
    assert load_settings(environ).policy() == Policy(
        min_batch_requests=11,
        max_wait_seconds=150,
        max_batch_requests=900,
        max_batch_bytes=5000,
        default_token_allowance=90_000,
        token_allowances={"gpt-4o-mini": 2_000_000, "gpt-4.1": 900_000},
        model_pause_seconds=61,
        caps=Caps(
            run_requests=1,
            day_requests=2,
            company_day_requests=3,
            run_cost_eur=4.5,
            day_cost_eur=5.5,
            company_day_cost_eur=6.5,
        ),
        usd_to_eur=0.9,
        max_attempts=4,
        retry_base_seconds=10,
        retry_max_seconds=20,
        lease_seconds=1000,
        absence_grace_seconds=30,
        rows_per_run=50,
        op_seconds=40,
    )


def test_every_threshold_reaches_the_alerts() -> None:
    assert load_settings({}).alert_limits() == Limits()
    environ = {
        "BATCH_ALERT_WINDOW_MINUTES": "30",
        "BATCH_ALERT_MIN_REQUESTS": "7",
        "BATCH_ALERT_THRESHOLD_ERROR_RATE": "2.5",
        "BATCH_ALERT_THRESHOLD_PROCESSING_TIME": "7200",
        "BATCH_ALERT_THRESHOLD_REQUESTS_PER_SECOND": "3",
        "BATCH_ALERT_THRESHOLD_LOOKUP_HIT_RATE": "90",
        "BATCH_ALERT_THRESHOLD_FALLBACK_RATE": "1",
        "BATCH_ALERT_THRESHOLD_NEW_DEAD_LETTERS": "4",
        "BATCH_ALERT_THRESHOLD_DEAD_LETTERS": "40",
        "BATCH_ALERT_THRESHOLD_DAY_COST_EUR": "12.5",
        "BATCH_ALERT_THRESHOLD_OVERDUE_MINUTES": "15",
        "BATCH_MAX_WAIT_MINUTES": "2",
        "BATCH_TIMEOUT_HOURS": "12",
        "COMPANY_CACHE_SECONDS": "0",
    }
    assert load_settings(environ).alert_limits() == Limits(
        window_minutes=30,
        min_requests=7,
        error_rate_percent=2.5,
        batch_age_seconds=7_200,
        batch_timeout_seconds=43_200,
        requests_per_second=3,
        lookup_hit_rate_percent=90,
        has_company_cache=False,
        fallback_rate_percent=1,
        new_dead_letters=4,
        dead_letters=40,
        day_cost_eur=12.5,
        max_wait_seconds=120,
        overdue_seconds=900,
    )


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
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: str, sentence: str) -> None:
    assert refusal(**{name: value}) == [f"{name} is '{value}': it must be {sentence}."]


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
    assert secret not in repr(load_settings(environ))
    assert secret not in str(load_settings(environ).model_dump())
    assert secret not in "\n".join(refusal(**environ, BATCH_MIN_SIZE="ten"))


def test_the_documentation_lists_every_setting_with_default_and_limits() -> None:
    allowed = allowed_values()
    defaults = {str(field.alias): field.default for field in Settings.model_fields.values()}
    expected = [f"| `{name}` | {_shown(defaults[name])} | {allowed[name]} |" for name in allowed]
    rows = [
        line
        for line in DOCUMENTATION.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `") and line.count("|") == 5
    ]
    assert [row.rpartition("|")[0].rpartition("|")[0] + "|" for row in rows] == expected


def _shown(default: object) -> str:
    if default is None or default == {}:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) and default < 1e6 else str(default)


def test_the_uis_names_are_those_that_were_set_and_the_one_of_its_address() -> None:
    assert load_settings({}).ui_names == frozenset()
    environ = {"BATCH_UI_HOSTS": "A.example, ::1", "BATCH_UI_URL": "https://b.example:8443/x"}
    assert load_settings(environ).ui_names == {"a.example", "::1", "b.example"}
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

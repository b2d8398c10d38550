"""The settings: their defaults, and what is made of them for others."""

from batch_assets.domain.alerts.records import Limits
from batch_assets.domain.money import read_price
from batch_assets.domain.policy import Caps, Policy, SynchronousPolicy
from batch_assets.receivers.pagerduty import EU_EVENTS_URL, PagerDuty
from batch_assets.settings import load_settings
from batch_assets_tests.policies import a_policy, some_limits


def test_the_policy_of_an_empty_environment() -> None:
    """Seconds and euros, whatever the unit of the setting."""
    assert load_settings({}).policy() == Policy(
        min_batch_requests=10,
        max_wait_seconds=1_800,
        max_batch_requests=1_000,
        max_batch_bytes=150_000_000,
        default_token_allowance=100_000_000_000,
        hourly_batches=2_000,
        token_allowances={},
        deployments={},
        caps=Caps(),
        usd_to_eur=0.85,
        model_prices={},
        max_attempts=3,
        bisection_submissions=32,
        retry_base_seconds=300,
        retry_max_seconds=21_600,
        model_cooldown_seconds=600,
        breaker_failures=5,
        breaker_seconds=60,
        lease_seconds=900,
        longest_wait_seconds=604_800,
        reading_grace_seconds=1_800,
        absence_grace_seconds=600,
        batch_timeout_seconds=86_400,
        stuck_seconds=86_400,
        synchronous=SynchronousPolicy(
            is_on=False, run_requests=100, day_requests=1_000, day_cost_eur=5, lead_seconds=7_200
        ),
        rows_per_run=100_000,
        op_seconds=600,
        concurrent_companies=None,
    )


def test_the_alerts_limits_of_an_empty_environment() -> None:
    assert load_settings({}).alert_limits() == Limits(
        window_minutes=60,
        min_requests=20,
        error_rate_percent=10,
        batch_age_seconds=3_600,
        batch_timeout_seconds=86_400,
        requests_per_second=1,
        lookup_hit_rate_percent=95,
        has_company_cache=True,
        fallback_rate_percent=5,
        new_dead_letters=10,
        dead_letters=1_000,
        day_cost_eur=None,
        max_wait_seconds=1_800,
        overdue_seconds=3_600,
    )


def test_every_number_reaches_the_policy() -> None:
    environ = {
        "BATCH_MIN_SIZE": "11",
        "BATCH_MAX_WAIT_MINUTES": "2.5",
        "BATCH_MAX_REQUESTS": "900",
        "BATCH_MAX_BYTES": "5000",
        "BATCH_TOKEN_ALLOWANCE": "90000",
        "BATCH_HOURLY_BATCHES": "100",
        "BATCH_TOKEN_ALLOWANCES": "gpt-4o-mini=2000000, gpt-4.1=900000",
        "BATCH_MODEL_COOLDOWN_SECONDS": "61",
        "BATCH_RUN_MAX_REQUESTS": "1",
        "BATCH_DAY_MAX_REQUESTS": "2",
        "BATCH_COMPANY_DAY_MAX_REQUESTS": "3",
        "BATCH_RUN_MAX_COST_EUR": "4.5",
        "BATCH_DAY_MAX_COST_EUR": "5.5",
        "BATCH_COMPANY_DAY_MAX_COST_EUR": "6.5",
        "USD_TO_EUR_RATE": "0.9",
        "BATCH_MODEL_PRICES": "ours=0.15/0.6, theirs=1/0.5/4, nobodys=free",
        "BATCH_MAX_ATTEMPTS": "4",
        "BATCH_RETRY_BASE_SECONDS": "10",
        "BATCH_RETRY_MAX_SECONDS": "20",
        "BATCH_LEASE_SECONDS": "1000",
        "BATCH_ABSENCE_GRACE_SECONDS": "30",
        "BATCH_ROWS_PER_RUN": "50",
        "BATCH_OP_SECONDS": "40",
    }
    assert load_settings(environ).policy() == a_policy(
        min_batch_requests=11,
        max_wait_seconds=150,
        max_batch_requests=900,
        max_batch_bytes=5000,
        default_token_allowance=90_000,
        hourly_batches=100,
        token_allowances={"gpt-4o-mini": 2_000_000, "gpt-4.1": 900_000},
        model_cooldown_seconds=61,
        caps=Caps(
            run_requests=1,
            day_requests=2,
            company_day_requests=3,
            run_cost_eur=4.5,
            day_cost_eur=5.5,
            company_day_cost_eur=6.5,
        ),
        usd_to_eur=0.9,
        model_prices={
            "ours": read_price("0.15/0.6"),
            "theirs": read_price("1/0.5/4"),
            "nobodys": read_price("free"),
        },
        max_attempts=4,
        retry_base_seconds=10,
        retry_max_seconds=20,
        lease_seconds=1000,
        absence_grace_seconds=30,
        rows_per_run=50,
        op_seconds=40,
    )


def test_every_threshold_reaches_the_alerts() -> None:
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
    assert load_settings(environ).alert_limits() == some_limits(
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


def test_the_uis_names_are_those_that_were_set_and_the_one_of_its_address() -> None:
    assert load_settings({}).ui_names == frozenset()
    environ = {"BATCH_UI_HOSTS": "A.example, ::1", "BATCH_UI_URL": "https://b.example:8443/x"}
    assert load_settings(environ).ui_names == {"a.example", "::1", "b.example"}


def test_each_receiver_is_there_once_it_is_configured() -> None:
    hook = {"BATCH_ALERT_WEBHOOK_URL": "https://a.example/canary"}
    key = {"BATCH_ALERT_PAGERDUTY_ROUTING_KEY": "canary00" * 4}
    europe = {"BATCH_ALERT_PAGERDUTY_URL": EU_EVENTS_URL}

    def names(**environ: str) -> list[str]:
        return [receiver.name for receiver in load_settings(environ).receivers()]

    assert names() == names(**europe) == []
    assert (names(**hook), names(**key)) == (["webhook"], ["pagerduty"])
    assert names(**hook, **key) == ["webhook", "pagerduty"]
    (there,) = load_settings(key | europe).receivers()
    (here,) = load_settings(key).receivers()
    secret = key["BATCH_ALERT_PAGERDUTY_ROUTING_KEY"]
    assert here.fingerprint == PagerDuty(secret).fingerprint
    assert there.fingerprint == PagerDuty(secret, url=EU_EVENTS_URL).fingerprint
    assert there.fingerprint != here.fingerprint

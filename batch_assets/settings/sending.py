"""What makes a batch, what may be spent, what becomes of failures, and what is sent at once."""

from typing import Final

from batch_assets.domain.policy import (
    BREAKER_MAX_SECONDS,
    PUBLISHED_HOURLY_BATCHES,
    UNBOUNDED_TOKENS,
)
from batch_assets.openai_batch import limits
from batch_assets.openai_batch.operations import Timeouts
from batch_assets.settings.fields import (
    DAY,
    MANY,
    SWITCH,
    Allowed,
    Family,
    ModelNames,
    ModelPrices,
    SynchronousTiers,
    TokenAllowances,
    number,
    setting,
    whole,
)

LONGEST_CALL_SECONDS: Final = Timeouts().longest_creating_call


class Sending(Family):
    """Caps that are not set do not hold anything back."""

    min_batch_requests: int = setting(
        "BATCH_MIN_SIZE",
        10,
        whole(1, limits.MAX_REQUESTS),
        "A company's requests are sent once so many wait, or as `BATCH_MAX_WAIT_MINUTES` says.",
    )
    max_wait_minutes: float = setting(
        "BATCH_MAX_WAIT_MINUTES",
        30,
        number(0, 10_080),
        "A company's requests are sent, however few, once the oldest of them has waited so long.",
    )
    max_batch_requests: int = setting(
        "BATCH_MAX_REQUESTS",
        1_000,
        whole(1, limits.MAX_REQUESTS),
        "Requests in one batch at most, and no more than the server takes.",
    )
    max_batch_bytes: int = setting(
        "BATCH_MAX_BYTES",
        150_000_000,
        whole(1_000, limits.MAX_FILE_BYTES),
        "Bytes in one input file at most, and no more than the server takes.",
    )
    default_token_allowance: int = setting(
        "BATCH_TOKEN_ALLOWANCE",
        UNBOUNDED_TOKENS,
        whole(1, UNBOUNDED_TOKENS),
        "Prompt tokens of one model that may be enqueued at one time, in all its batches. The "
        "account's tier says how many; whatever this is, no more are enqueued than the server was "
        "seen to take, see [operations.md](operations.md). A longer request is not sent.",
    )
    token_allowances: TokenAllowances = setting(
        "BATCH_TOKEN_ALLOWANCES",
        {},
        Allowed("pairs such as gpt-4o-mini=2000000,gpt-4.1=900000"),
        "The same as `BATCH_TOKEN_ALLOWANCE`, for single models.",
    )
    hourly_batches: int = setting(
        "BATCH_HOURLY_BATCHES",
        PUBLISHED_HOURLY_BATCHES,
        whole(1, 1_000_000),
        "Batches that are created in an hour at most, by all runs with one account together; no "
        "more than the server was seen to take.",
    )
    model_cooldown_seconds: float = setting(
        "BATCH_MODEL_COOLDOWN_SECONDS",
        600,
        number(0, DAY),
        "How long a model is not used after the server had no room for its tokens: half to all of "
        "it, drawn at random. A Retry-After goes before it.",
        former="BATCH_MODEL_PAUSE_SECONDS",
    )

    run_max_requests: int | None = setting(
        "BATCH_RUN_MAX_REQUESTS", None, whole(0, MANY), "Requests that one run sends at most."
    )
    day_max_requests: int | None = setting(
        "BATCH_DAY_MAX_REQUESTS", None, whole(0, MANY), "Requests sent in one UTC day at most."
    )
    company_day_max_requests: int | None = setting(
        "BATCH_COMPANY_DAY_MAX_REQUESTS",
        None,
        whole(0, MANY),
        "Requests of one company sent in one UTC day at most.",
    )
    run_max_cost_eur: float | None = setting(
        "BATCH_RUN_MAX_COST_EUR", None, number(0, MANY), "Estimated cost of one run at most."
    )
    day_max_cost_eur: float | None = setting(
        "BATCH_DAY_MAX_COST_EUR",
        None,
        number(0, MANY),
        "What is submitted in one UTC day may cost so much at most: as billed, and as estimated "
        "until that is known.",
    )
    company_day_max_cost_eur: float | None = setting(
        "BATCH_COMPANY_DAY_MAX_COST_EUR",
        None,
        number(0, MANY),
        "The same as `BATCH_DAY_MAX_COST_EUR`, for each company.",
    )
    usd_to_eur: float = setting(
        "USD_TO_EUR_RATE", 0.85, number(0.01, 100), "Euros that a dollar costs."
    )
    model_prices: ModelPrices = setting(
        "BATCH_MODEL_PRICES",
        {},
        Allowed("pairs such as my-model=0.15/0.6,other=1/0.5/4,ours=free"),
        "USD for a million tokens of input and output, or of input, cached input and output, at "
        "the full price; they go before LiveDash's prices and the published ones. What costs "
        "nothing is `free`; see [costs.md](costs.md#which-price).",
    )


class Failing(Family):
    """How patient runs are, with requests, batches, the API and each other."""

    max_attempts: int = setting(
        "BATCH_MAX_ATTEMPTS",
        3,
        whole(1, 100),
        "A request that has failed so often is tried no more.",
    )
    bisection_submissions: int = setting(
        "BATCH_BISECTION_SUBMISSIONS",
        32,
        whole(0, 1_000),
        "How many more batches may be sent to find the wrong requests of one half of a batch that "
        "the server refused, without naming them, when it took the other half. With 0 all of that "
        "half goes to the dead letters.",
        former="BATCH_QUARANTINE_SUBMISSIONS",
    )
    retry_base_seconds: float = setting(
        "BATCH_RETRY_BASE_SECONDS",
        300,
        number(0, DAY),
        "The longest wait after a first failure. It doubles with each further one.",
    )
    retry_max_seconds: float = setting(
        "BATCH_RETRY_MAX_SECONDS", 21_600, number(0, 7 * DAY), "The longest wait after any failure."
    )
    breaker_failures: int = setting(
        "BATCH_BREAKER_FAILURES",
        5,
        whole(1, 1_000),
        "When so many calls of one API operation in a row fail because the server is not well, no "
        "call of it is made for a while; see [breakers.md](breakers.md).",
    )
    breaker_seconds: float = setting(
        "BATCH_BREAKER_SECONDS",
        60,
        number(0, BREAKER_MAX_SECONDS),
        "How long at most no call of such an operation is made, at first. It doubles with each "
        "trial that fails, up to half an hour.",
    )
    cooldown_after_failed_runs: int = setting(
        "BATCH_COOLDOWN_AFTER_FAILED_RUNS",
        5,
        whole(1, 100),
        "When so many runs in a row have failed, schedule and sensors start none for a while.",
        former="BATCH_PAUSE_AFTER_FAILED_RUNS",
    )
    cooldown_minutes: float = setting(
        "BATCH_COOLDOWN_MINUTES",
        30,
        number(0, 1_440),
        "How long schedule and sensors start none after so many, at first. It doubles with each "
        "trial run that fails, up to eight times. 0: never.",
        former="BATCH_PAUSE_MINUTES",
    )
    monitoring_retention_days: int = setting(
        "BATCH_MONITORING_RETENTION_DAYS",
        30,
        whole(1, 3_650),
        "How many days the metrics of runs, and Dagster's runs and events, are kept; `prune_job` "
        "deletes what is older, once a day. See [metrics.md](metrics.md).",
    )

    lease_seconds: float = setting(
        "BATCH_LEASE_SECONDS",
        900,
        number(1, DAY),
        "How long a run holds a batch before another run may take it over. More than the longest "
        f"call may take, which is {LONGEST_CALL_SECONDS:g}.",
    )
    batch_timeout_hours: float = setting(
        "BATCH_TIMEOUT_HOURS",
        24,
        number(0.01, 720),
        "How long a batch of ours may run on the server. Then it is cancelled: what ran is read, "
        "the rest is sent again. The server is asked for the longest completion window that it "
        "offers within that, and for its shortest if none is; OpenAI's is 24 hours. With "
        "synchronous retries also how soon after it was made a request is to be answered.",
    )
    longest_wait_days: float = setting(
        "BATCH_LONGEST_WAIT_DAYS",
        7,
        number(0.01, 365),
        "A request that has been put off so long, without a try that counts, is a dead letter.",
    )
    reading_grace_seconds: float = setting(
        "BATCH_READING_GRACE_SECONDS",
        1_800,
        number(0, DAY),
        "How long results that the server has counted, and not shown yet, are waited for; from the "
        "first reading that missed some.",
    )
    stuck_hours: float = setting(
        "BATCH_STUCK_HOURS",
        24,
        number(0, 720),
        "How long a batch has to have been stuck before `abandon --force` gives it up: in "
        "`finalizing` or `cancelling`, running on after it was cancelled, or ended without results "
        "that can be read; see [controls.md](controls.md#abandon---force).",
    )
    absence_grace_seconds: float = setting(
        "BATCH_ABSENCE_GRACE_SECONDS",
        600,
        number(0, DAY),
        "How long a call whose answer was lost may still act, before its batch counts as never "
        "made.",
    )


class Synchronous(Family):
    """Requests that cannot wait for a batch: whether they are sent at once, and how many."""

    synchronous_retries: bool = setting(
        "BATCH_SYNCHRONOUS_RETRIES",
        False,
        SWITCH,
        "Whether failed requests may be sent synchronously, which costs up to twice a batch's "
        "price: those that an operator asks for and those for which the next batch would come too "
        "late; see [synchronous_requests.md](synchronous_requests.md).",
        former="BATCH_LIVE_RETRIES",
    )
    synchronous_tiers: SynchronousTiers = setting(
        "BATCH_SYNCHRONOUS_TIERS",
        "flex,full",
        Allowed("flex, full, or flex,full"),
        "At which price: `flex` is a batch's, where the model has it, and `full` twice that. With "
        "both, flex goes first, and what it has no room for goes at the full price after "
        "`BATCH_SYNCHRONOUS_LEAD_MINUTES`; with `flex` alone, with a batch.",
    )
    flex_models: ModelNames = setting(
        "BATCH_FLEX_MODELS",
        (),
        Allowed("names such as gpt-5-mini,my-deployment"),
        "Models that the server answers for by flex, as requests name them, beside those of which "
        "OpenAI's price list says so; that is asked for at OpenAI alone.",
    )
    synchronous_run_max_requests: int = setting(
        "BATCH_SYNCHRONOUS_RUN_MAX_REQUESTS",
        100,
        whole(0, 10_000),
        "Requests that one run sends synchronously at most.",
        former="BATCH_LIVE_RUN_MAX_REQUESTS",
    )
    synchronous_day_max_requests: int = setting(
        "BATCH_SYNCHRONOUS_DAY_MAX_REQUESTS",
        1_000,
        whole(0, MANY),
        "Requests sent synchronously in one UTC day at most.",
        former="BATCH_LIVE_DAY_MAX_REQUESTS",
    )
    synchronous_day_max_cost_eur: float = setting(
        "BATCH_SYNCHRONOUS_DAY_MAX_COST_EUR",
        5,
        number(0, MANY),
        "Cost of synchronous requests in one UTC day at most: as estimated, at the price that they "
        "are sent at, until it is known.",
        former="BATCH_LIVE_DAY_MAX_COST_EUR",
    )
    synchronous_lead_minutes: float = setting(
        "BATCH_SYNCHRONOUS_LEAD_MINUTES",
        120,
        number(0, 43_200),
        "How long the next batch is expected to take. A failed request is sent synchronously where "
        "that is longer than what is left of its `BATCH_TIMEOUT_HOURS`. Also how long it waits for "
        "room by flex.",
        former="BATCH_LIVE_LEAD_MINUTES",
    )

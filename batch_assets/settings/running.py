"""Where it runs and in whose name, when runs start, and how they work on the database."""

from typing import Final, Literal

from pydantic import SecretStr

from batch_assets.openai_batch.profiles import NAMES
from batch_assets.settings.fields import (
    DAY,
    MANY,
    SWITCH,
    WEB_ADDRESS,
    AbsolutePath,
    AccountNames,
    Allowed,
    Deployments,
    Family,
    HomePath,
    matching,
    number,
    setting,
    whole,
)

_DATABASE_ADDRESS: Final = Allowed("a URL postgresql://…")
_ABSOLUTE: Final = Allowed("an absolute path")


class Places(Family):
    """What may hold a secret is not judged here but by whoever uses it."""

    database_url: SecretStr | None = setting(
        "DATABASE_URL",
        None,
        _DATABASE_ADDRESS,
        "LiveDash's database, with user and password. Prisma's URL may be used as it is: "
        "[see below](#the-databases-url). It may go through PgBouncer.",
    )
    dagster_database_url: SecretStr | None = setting(
        "DAGSTER_DATABASE_URL",
        None,
        _DATABASE_ADDRESS,
        "Where Dagster keeps its runs, in the schema `dagster`; without it, `DATABASE_URL`. It "
        "must not go through PgBouncer.",
    )
    openai_api_key: SecretStr | None = setting(
        "OPENAI_API_KEY", None, Allowed("a key of the API"), "Whom the batches are charged to."
    )
    openai_base_url: SecretStr | None = setting(
        "OPENAI_BASE_URL",
        None,
        WEB_ADDRESS,
        "Another server that speaks the Batch API; without it, OpenAI's own.",
    )
    openai_organization: SecretStr | None = setting(
        "OPENAI_ORG_ID", None, Allowed("the id of an organisation"), "For whom calls are made."
    )
    openai_project: SecretStr | None = setting(
        "OPENAI_PROJECT_ID",
        None,
        Allowed("the id of a project"),
        "In which project, where the key is not one of a project.",
    )
    accounts: AccountNames = setting(
        "BATCH_ACCOUNTS",
        (),
        Allowed("names such as acme,beta of a-z and 0-9, without `default`"),
        "Further accounts beside the one of `OPENAI_API_KEY`, which is called `default`. That of "
        "`acme` has its key in `OPENAI_API_KEY_ACME`; see "
        "[accounts_and_shards.md](accounts_and_shards.md).",
    )
    api_version: str | None = setting(
        "OPENAI_API_VERSION",
        None,
        matching("a date, such as 2024-10-21", r"^\d{4}-\d\d-\d\d[a-z-]*$"),
        "Which version of an API that has dates for versions is called; `?api-version=` in "
        "`OPENAI_BASE_URL` goes before it. Other servers are not told.",
    )
    server_profile: str | None = setting(
        "BATCH_SERVER_PROFILE",
        None,
        matching(f"{', '.join(NAMES[:-1])} or {NAMES[-1]}", f"^({'|'.join(NAMES)})$"),
        "What the server takes and offers, where its host does not say, as behind a gateway; see "
        "[servers.md](servers.md).",
    )
    deployments: Deployments = setting(
        "BATCH_DEPLOYMENTS",
        {},
        Allowed("pairs such as my-mini=gpt-4o-mini,my-large=gpt-4.1"),
        "Which model runs under a name that is none of a model, as deployments have: its price and "
        "its parameters are that model's.",
    )
    local_stack: str | None = setting(
        "BATCH_LOCAL_STACK",
        None,
        matching("up to 40 of a-z, 0-9, - and _", "^[a-z0-9][a-z0-9_-]{0,39}$"),
        "Asks for the local stack of this name; each has its own data. Without it, and with "
        "nothing configured, the stack `default` is used.",
    )
    spool_dir: AbsolutePath | None = setting(
        "BATCH_SPOOL_DIR",
        None,
        _ABSOLUTE,
        "Where input files and results lie while they are sent and read, closed to all other "
        "users; without it, `.local/spool` in the project or the local stack's directory.",
    )
    dagster_home: HomePath | None = setting(
        "DAGSTER_HOME",
        None,
        _ABSOLUTE,
        "Where Dagster finds its `dagster.yaml`; without it, `.local/dagster` in the project: "
        "[production.md](production.md#dagster_home).",
    )


class Running(Family):
    """For every run, whatever there is to do."""

    schedules_enabled: bool = setting(
        "BATCH_SCHEDULES_ENABLED",
        True,
        SWITCH,
        "Whether schedules and sensors start runs. The job can be started by hand all the same.",
        former="BATCH_PROCESSING_ENABLED",
    )
    schedule: str = setting(
        "BATCH_SCHEDULE",
        "*/2 * * * *",
        # What else may be wrong with it is Dagster's to say, and it is quoted then.
        matching(
            "a cron expression with five fields, such as */2 * * * *", r"^((\S+\s+){4}\S+|@[a-z]+)$"
        ),
        "When the job runs, in UTC. A tick is skipped while a run is active, or there is nothing "
        "to do.",
    )
    idle_run_minutes: float = setting(
        "BATCH_IDLE_RUN_MINUTES",
        30,
        number(0, 1_440),
        "How long after a run the schedule starts none while there is nothing to do; with 0 each "
        "tick starts one. See [schedules_and_sensors.md](schedules_and_sensors.md).",
    )
    backlog_check_seconds: int = setting(
        "BATCH_BACKLOG_CHECK_SECONDS",
        30,
        whole(5, 3_600),
        "How often is looked whether a company has become due, so that a run starts without "
        "waiting for the schedule; see [schedules_and_sensors.md](schedules_and_sensors.md).",
    )
    completion_check_seconds: int = setting(
        "BATCH_COMPLETION_CHECK_SECONDS",
        60,
        whole(5, 3_600),
        "How often the server is asked whether a batch has ended, while any is in flight.",
    )
    optimization: bool | Literal["optimized", "auto", "original"] = setting(
        "ENABLE_BATCH_OPTIMIZATION",
        True,
        Allowed("true, false or optimized"),
        "Whether the database is asked for all companies at once and written in sets (optimized), "
        "or company by company and row by row (false), or for each operation optimized as long as "
        "it is the faster one and succeeds (true, also `auto`). The results are the same, and it "
        "may be changed at any time; a stored choice (`batch-assets mode`) goes before it. See "
        "[query_strategy.md](query_strategy.md).",
    )
    batch_operations: bool = setting(
        "ENABLE_BATCH_OPERATIONS",
        True,
        SWITCH,
        "Without it, whatever writes rows writes them one by one; what only reads stays as it is.",
    )
    fallback_on_errors: bool = setting(
        "FALLBACK_ON_ERRORS",
        True,
        SWITCH,
        "Whether what fails in sets is done again row by row. Without it, the op fails.",
    )
    parallel_processing: bool = setting(
        "ENABLE_PARALLEL_PROCESSING",
        True,
        SWITCH,
        "Whether several calls are in flight at one time.",
    )
    max_concurrent_companies: int | None = setting(
        "MAX_CONCURRENT_COMPANIES",
        None,
        whole(1, 100),
        "How many companies have calls in flight at one time, their batches one after the other. "
        "Without it, as many calls are in flight as the server takes, up to 100 "
        "([servers.md](servers.md#how-many-calls-at-one-time)).",
    )
    op_seconds: float = setting(
        "BATCH_OP_SECONDS",
        600,
        number(1, DAY),
        "How long each op takes up new work in one run; a call that is under way ends soon after, "
        "however slow the server is ([servers.md](servers.md#what-no-server-may-do)). The next run "
        "carries on.",
    )
    rows_per_run: int = setting(
        "BATCH_ROWS_PER_RUN",
        100_000,
        whole(1, MANY),
        "How many rows each op moves in one run; what waits is looked at as a whole. The next run "
        "carries on.",
    )
    company_cache_seconds: float = setting(
        "COMPANY_CACHE_SECONDS",
        300,
        number(0, 3_600),
        "How long the runs of a host go by one answer to which companies are active; with 0 each "
        "asks anew. A suspended company's requests are never submitted, however long. See "
        "[company_lookup.md](company_lookup.md).",
    )

"""Where it runs: on which database and server, in whose name."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from batch_assets.openai_batch.profiles import NAMES
from batch_assets.settings.fields import Family, Pairs, setting

_STACK_NAME = "^[a-z0-9][a-z0-9_-]{0,39}$"


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError
    return path


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError from None  # there is no such user


AbsolutePath = Annotated[Path, AfterValidator(_check_absolute)]
HomePath = Annotated[Path, AfterValidator(_expand), AfterValidator(_check_absolute)]
"""Dagster, too, takes a path that begins with `~`, and no other that is not absolute."""


class Places(Family):
    """What may hold a secret is not judged here but by whoever uses it."""

    database_url: SecretStr | None = setting("DATABASE_URL", "a URL postgresql://…")
    dagster_database_url: SecretStr | None = setting("DAGSTER_DATABASE_URL", "a URL postgresql://…")
    openai_api_key: SecretStr | None = setting("OPENAI_API_KEY", "a key of the API")
    openai_base_url: SecretStr | None = setting("OPENAI_BASE_URL", "a URL http://… or https://…")
    api_version: str | None = setting(
        "OPENAI_API_VERSION", "a date, such as 2024-10-21", pattern=r"^\d{4}-\d\d-\d\d[a-z-]*$"
    )
    server_profile: str | None = setting(
        "BATCH_SERVER_PROFILE",
        f"{', '.join(NAMES[:-1])} or {NAMES[-1]}",
        pattern=f"^({'|'.join(NAMES)})$",
    )
    deployments: Pairs = setting(
        "BATCH_DEPLOYMENTS", "pairs such as my-mini=gpt-4o-mini,my-large=gpt-4.1", default={}
    )
    local_stack: str | None = setting(
        "BATCH_LOCAL_STACK", "up to 40 of a-z, 0-9, - and _", pattern=_STACK_NAME
    )
    spool_dir: AbsolutePath | None = setting("BATCH_SPOOL_DIR", "an absolute path")
    dagster_home: HomePath | None = setting("DAGSTER_HOME", "an absolute path")

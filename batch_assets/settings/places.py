"""Where it runs: on which database and server, in whose name."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from batch_assets.settings.fields import Family, setting

_STACK_NAME = "^[a-z0-9][a-z0-9_-]{0,39}$"


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError
    return path


AbsolutePath = Annotated[Path, AfterValidator(_check_absolute)]


class Places(Family):
    """What may hold a secret is not judged here but by whoever uses it."""

    database_url: SecretStr | None = setting("DATABASE_URL", "a URL postgresql://…")
    dagster_database_url: SecretStr | None = setting("DAGSTER_DATABASE_URL", "a URL postgresql://…")
    openai_api_key: SecretStr | None = setting("OPENAI_API_KEY", "a key of the API")
    openai_base_url: SecretStr | None = setting("OPENAI_BASE_URL", "a URL http://… or https://…")
    local_stack: str | None = setting(
        "BATCH_LOCAL_STACK", "up to 40 of a-z, 0-9, - and _", pattern=_STACK_NAME
    )
    spool_dir: AbsolutePath | None = setting("BATCH_SPOOL_DIR", "an absolute path")

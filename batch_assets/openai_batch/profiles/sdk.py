"""The SDK's client for a profile: the one place that knows that there are several.

Importing this module costs most of a second (`import openai`).
"""

from urllib.parse import urlsplit

import httpx2
import openai

from batch_assets.openai_batch.profiles.dated import version_of
from batch_assets.openai_batch.profiles.profile import Profile


def sdk_client(
    profile: Profile, api_key: str, base_url: str, *, retries: int, pool: httpx2.Client
) -> openai.OpenAI:
    """A client of the server at this URL, which sends its calls through `pool`.

    ConfigurationError if the API is dated and the URL does not say which version is meant.
    """
    if not profile.is_dated:
        return openai.OpenAI(
            api_key=api_key, base_url=base_url, max_retries=retries, http_client=pool
        )
    return openai.AzureOpenAI(
        api_key=api_key,
        base_url=_resource(base_url),
        api_version=version_of(base_url),
        max_retries=retries,
        http_client=pool,
    )


def _resource(base_url: str) -> str:
    """Where files and batches are: above all deployments, and without a query."""
    parts = urlsplit(base_url)
    path = parts.path.partition("/deployments")[0].rstrip("/")
    if not path.endswith("/openai"):
        path += "/openai"
    return parts._replace(path=path, query="", fragment="").geturl()

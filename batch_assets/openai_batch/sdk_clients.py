"""The SDK's clients: what is the same for every call is made once. (Imports the SDK.)

A call costs what is done for it anew, and there are thousands in a run. So the headers of a client
are made once, without those in which the SDK tells of this machine and of itself.
"""

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from batch_assets.openai_batch.account import Project
from batch_assets.openai_batch.profiles import Profile, version_of

_TELEMETRY = "x-stainless-"

NO_TELEMETRY: Mapping[str, str | openai.Omit] = {
    f"{_TELEMETRY}retry-count": openai.omit,
    f"{_TELEMETRY}read-timeout": openai.omit,
}
"""Headers that leave out those which the SDK adds to a call whatever its client's are."""


class PooledClient(httpx2.Client):
    """The HTTP library's client, whose own headers and time-outs are read once.

    The SDK names each call's URL, headers, body and time-outs: nothing else is merged into them.
    """

    def __init__(self, **settings: Any) -> None:
        """`settings` are the library's."""
        super().__init__(**settings)
        kept = ("accept-encoding", "connection")
        self._kept = [(name, self.headers[name]) for name in kept]
        self._urls = lru_cache(maxsize=32)(httpx2.URL)

    def build_request(self, method: str, url: httpx2.URL | str, **given: Any) -> httpx2.Request:
        """Make the request that is sent, of what the SDK gives."""
        timeouts = httpx2.Timeout(given.pop("timeout")).as_dict()
        headers = [*self._kept, *given.pop("headers")]
        return httpx2.Request(
            method,
            self._urls(url),
            headers=headers,
            cookies=self.cookies,
            extensions={"timeout": timeouts},
            **given,
        )


class OpenAI(openai.OpenAI):
    """The client of the API that all others copy. (The SDK tells the server the class's name.)"""

    @cached_property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        """The headers of every call, but the key's."""
        return _sent(super().default_headers)


class AzureOpenAI(openai.AzureOpenAI):
    """The client of an API whose version is a date."""

    @cached_property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        """The headers of every call, but the key's."""
        return _sent(super().default_headers)


def _sent(headers: Mapping[str, str | openai.Omit]) -> dict[str, str | openai.Omit]:
    return {
        name: value
        for name, value in headers.items()
        if isinstance(value, str) and not name.lower().startswith(_TELEMETRY)
    }


def sdk_client(
    profile: Profile,
    api_key: str,
    base_url: str,
    project: Project,
    *,
    retries: int,
    pool: httpx2.Client,
) -> openai.OpenAI:
    """Make the SDK's client of the server at this URL, which sends its calls through `pool`.

    It speaks for this project, whatever the environment names.

    Raises:
        ConfigurationError: The API is dated, and the URL does not say which version is meant.
    """
    client: openai.OpenAI
    if profile.is_dated:
        client = AzureOpenAI(
            api_key=api_key,
            base_url=_resource(base_url),
            api_version=version_of(base_url),
            max_retries=retries,
            http_client=pool,
        )
    else:
        client = OpenAI(api_key=api_key, base_url=base_url, max_retries=retries, http_client=pool)
    # Given as None, it would take them from the environment.
    client.organization, client.project = project.organization, project.id
    return client


def _resource(base_url: str) -> str:
    """Where files and batches are: above all deployments, and without a query."""
    parts = urlsplit(base_url)
    path = parts.path.partition("/deployments")[0].rstrip("/")
    if not path.endswith("/openai"):
        path += "/openai"
    return parts._replace(path=path, query="", fragment="").geturl()

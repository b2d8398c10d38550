"""An API whose version is a date: the query of its base URL says which one is meant."""

from urllib.parse import parse_qs, urlencode, urlsplit

from batch_assets.domain.errors import ConfigurationError

_VERSION = "api-version"


def versioned(base_url: str, version: str | None) -> str:
    """The URL with a version: its own, or else this one. ConfigurationError if there is neither."""
    parts = urlsplit(base_url)
    query = parse_qs(parts.query)
    if version is not None and _VERSION not in query:
        query[_VERSION] = [version]
    url = parts._replace(query=urlencode(query, doseq=True)).geturl()
    version_of(url)
    return url


def check_dated(base_url: str) -> None:
    """ConfigurationError unless the URL's query is a version and nothing else."""
    version_of(base_url)
    parts = urlsplit(base_url)
    if parse_qs(parts.query).keys() != {_VERSION} or parts.fragment:
        raise ConfigurationError(
            f"OPENAI_BASE_URL has more after the `?` or the `#` than {_VERSION}, to which no path "
            "of a call can be added: leave it out."
        )


def version_of(base_url: str) -> str:
    """The version that a URL names. ConfigurationError if it names none."""
    found = parse_qs(urlsplit(base_url).query).get(_VERSION)
    if not found:
        raise ConfigurationError(
            "The API at OPENAI_BASE_URL has a date for its version, and none is named: set "
            "OPENAI_API_VERSION to one such as 2024-10-21, or let the URL end with /openai/v1, "
            "which needs none."
        )
    return found[0]

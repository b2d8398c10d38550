"""What the servers that speak the Batch API are like: one declarative record each.

Nothing outside of this module knows a provider's name: whatever one of them does in another way is
a field of `Profile`, and whoever does that looks at the field. Where a server turns out to be
otherwise than its profile says, the client finds out and goes on with what there is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.health import Hold
from batch_assets.domain.policy import Policy
from batch_assets.openai_batch import limits

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
_VERSION = "api-version"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a server takes and offers. The defaults are those of the API that all others copy."""

    name: str
    """As `BATCH_SERVER_PROFILE` has it."""
    source: str
    """The document that says so, by its title."""
    hosts: tuple[str, ...] = ()
    """A host of the server's has one of these names, or a name that ends so."""
    path: str = ""
    """What the path of its base URL ends with, where only that tells two profiles apart."""

    purpose: str = "batch"
    """With which input files are uploaded."""
    upload_path: str = "/files"
    names_file_apart: bool = False
    """Whether an upload's form has the file's name in a field of its own, too."""
    endpoint: str = limits.ENDPOINT
    """Whom the requests of a batch are for: its own `endpoint` and the `url` of its lines."""
    lines_say_where: bool = True
    """Whether a line has `method` and `url` beside its id and its body."""
    completion_windows: tuple[str, ...] = ("24h",)
    """The spans within which a batch can be asked to be done, in hours or days, shortest first."""
    max_requests: int = limits.MAX_REQUESTS
    max_file_bytes: int = limits.MAX_FILE_BYTES

    price_list: str | None = "openai"
    """Whose models these are in the published prices. `None`: nobody's who is listed there."""
    price_factor: float = 0.5
    """What a batch costs of the full price, where no price for batches is published."""

    output_expires_seconds: tuple[int, int] | None = (3_600, 30 * 86_400)
    """How soon and how late files can be asked to be deleted by the server. `None`: they cannot."""
    lists_flex: bool = False
    """Whether it answers by flex for the models of which the published prices name that tier."""
    has_metadata: bool = True
    has_file_list: bool = True
    has_delete: bool = True

    is_dated: bool = False
    """Whether each call names the version of the API that it is made to, and the key has a header
    of its own."""
    no_batches: Hold | None = None
    """Why it takes none of ours, if it does not."""

    def bound(self, policy: Policy) -> Policy:
        """Bound the policy to batches that are no larger than the server takes."""
        return replace(
            policy,
            max_batch_requests=min(policy.max_batch_requests, self.max_requests),
            max_batch_bytes=min(policy.max_batch_bytes, self.max_file_bytes),
        )

    def expires_after(self, seconds: int) -> int | None:
        """Bound the seconds until the server deletes what a batch makes; `None`: it does not."""
        if self.output_expires_seconds is None:
            return None
        soonest, latest = self.output_expires_seconds
        return min(max(seconds, soonest), latest)

    def is_of(self, host: str, path: str) -> bool:
        """Whether a base URL with this host and path leads to such a server."""
        return _is_one_of(host, self.hosts) and path.rstrip("/").endswith(self.path)


def _is_one_of(host: str, names: Iterable[str]) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in names)


COMPATIBLE: Final = Profile(
    name="compatible",
    source="OpenAI: API reference, as far as a server follows it",
)
"""Whoever is not known by name."""

OPENAI: Final = Profile(
    name="openai",
    source="OpenAI: Batch API guide, and API reference for batches and files",
    hosts=("api.openai.com",),
    lists_flex=True,
)

AZURE: Final = Profile(
    name="azure",
    source="Azure OpenAI: Getting started with batch deployments, and quotas and limits",
    hosts=(
        "openai.azure.com",
        "openai.azure.us",
        "services.ai.azure.com",
        "cognitiveservices.azure.com",
    ),
    path="/openai/v1",
    endpoint="/chat/completions",
    max_requests=100_000,
    # Files without an expiry count against a much smaller number of files.
    output_expires_seconds=(14 * 86_400, 30 * 86_400),
)
"""Its v1 API. An uploaded file is `pending` first, and a batch that takes longer does not expire:
BATCH_TIMEOUT_HOURS ends it."""

AZURE_DATED: Final = replace(
    AZURE,
    name="azure-dated",
    source="Azure OpenAI: Getting started with batch deployments, and API version lifecycle",
    path="",
    is_dated=True,
)
"""The API whose version is a date, `api-version`."""

DASHSCOPE: Final = Profile(
    name="dashscope",
    source="Alibaba Cloud Model Studio: OpenAI compatible - Batch (file input)",
    hosts=(
        "dashscope.aliyuncs.com",
        "dashscope-intl.aliyuncs.com",
        "dashscope-us.aliyuncs.com",
        "dashscope-finance.aliyuncs.com",
    ),
    completion_windows=("24h", "48h", "72h", "168h", "336h"),
    max_file_bytes=500_000_000,
    price_list=None,
    output_expires_seconds=None,
)

GROQ: Final = Profile(
    name="groq",
    source="Groq: Batch API, and API reference",
    hosts=("api.groq.com",),
    completion_windows=("24h", "7d"),
    price_list="groq",
    output_expires_seconds=None,
)

TOGETHER: Final = Profile(
    name="together",
    source="Together AI: Batch inference, and the types of its Python SDK",
    hosts=("api.together.ai", "api.together.xyz"),
    purpose="batch-api",
    upload_path="/files/upload",
    names_file_apart=True,
    lines_say_where=False,
    max_file_bytes=100_000_000,
    price_list="together",
    # Half the price is for some models only: what is not on a list of those may cost all of it.
    price_factor=1.0,
    output_expires_seconds=None,
    has_metadata=False,
)

OPENROUTER: Final = Profile(
    name="openrouter",
    source="OpenRouter: Batch API quickstart",
    hosts=("openrouter.ai",),
    price_list="openrouter",
    output_expires_seconds=None,
    has_file_list=False,
    has_delete=False,
    no_batches=Hold(
        "OpenRouter takes the requests of a batch within one call, not in a file that is uploaded "
        "first, so that this project sends it none.",
        "Set OPENAI_BASE_URL to a server that takes files, or let single requests be sent "
        "synchronously (BATCH_SYNCHRONOUS_RETRIES).",
    ),
)

PROFILES: Final = (
    OPENAI,
    AZURE,
    AZURE_DATED,
    DASHSCOPE,
    GROQ,
    TOGETHER,
    OPENROUTER,
    COMPATIBLE,
)
"""In the order in which a URL is compared with them."""

NAMES: Final = tuple(profile.name for profile in PROFILES)


def profile_of(base_url: str, name: str | None = None) -> Profile:
    """Find the profile of this name, or else that of the server which the URL leads to.

    A URL that cannot be read has `COMPATIBLE`: whoever connects says what is wrong with it.

    Raises:
        LookupError: There is no profile of this name.
    """
    if name is not None:
        return {profile.name: profile for profile in PROFILES}[name]
    try:
        parts = urlsplit(base_url)
        host, path = (parts.hostname or "").lower(), parts.path
    except ValueError:
        return COMPATIBLE
    return next((profile for profile in PROFILES if profile.is_of(host, path)), COMPATIBLE)


def versioned(base_url: str, version: str | None) -> str:
    """Give the URL a version: its own, or else this one.

    Raises:
        ConfigurationError: There is neither.
    """
    parts = urlsplit(base_url)
    query = parse_qs(parts.query)
    if version is not None and _VERSION not in query:
        query[_VERSION] = [version]
    url = parts._replace(query=urlencode(query, doseq=True)).geturl()
    version_of(url)
    return url


def check_dated(base_url: str) -> None:
    """Refuse a URL whose query is not a version and nothing else.

    Raises:
        ConfigurationError: It is not.
    """
    version_of(base_url)
    parts = urlsplit(base_url)
    if parse_qs(parts.query).keys() != {_VERSION} or parts.fragment:
        raise ConfigurationError(
            f"OPENAI_BASE_URL has more after the `?` or the `#` than {_VERSION}, to which no path "
            "of a call can be added: leave it out."
        )


def version_of(base_url: str) -> str:
    """Read the version of the API that a URL names.

    Raises:
        ConfigurationError: It names none.
    """
    found = parse_qs(urlsplit(base_url).query).get(_VERSION)
    if not found:
        raise ConfigurationError(
            "The API at OPENAI_BASE_URL has a date for its version, and none is named: set "
            "OPENAI_API_VERSION to one such as 2024-10-21, or let the URL end with /openai/v1, "
            "which needs none."
        )
    return found[0]

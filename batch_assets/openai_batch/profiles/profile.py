"""The record that describes a server."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from batch_assets.domain.policy import Policy
from batch_assets.openai_batch import limits

_HOURS: Final = {"h": 1, "d": 24}


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
    windows: tuple[str, ...] = ("24h",)
    """The spans within which a batch can be asked to be done, in hours or days, shortest first."""
    max_requests: int = limits.MAX_REQUESTS
    max_file_bytes: int = limits.MAX_FILE_BYTES

    price_list: str | None = "openai"
    """Whose models these are in the published prices. `None`: nobody's who is listed there."""
    price_factor: float = 0.5
    """What a batch costs of the live price, where no price for batches is published."""

    output_expires_seconds: tuple[int, int] | None = (3_600, 30 * 86_400)
    """How soon and how late files can be asked to be deleted by the server. `None`: they cannot."""
    has_metadata: bool = True
    has_file_list: bool = True
    has_delete: bool = True

    is_dated: bool = False
    """Whether each call names the version of the API that it is made to, and the key has a header
    of its own."""
    why_no_batches: str | None = None
    """A sentence for people, if it takes none of ours."""

    def bound(self, policy: Policy) -> Policy:
        """The policy, with batches that are no larger than the server takes."""
        return replace(
            policy,
            max_batch_requests=min(policy.max_batch_requests, self.max_requests),
            max_batch_bytes=min(policy.max_batch_bytes, self.max_file_bytes),
        )

    def window(self, seconds: float) -> str:
        """The longest window within so much time, or the shortest there is."""
        fitting = [window for window in self.windows if _hours(window) * 3_600 <= seconds]
        return fitting[-1] if fitting else self.windows[0]

    def expires_after(self, seconds: int) -> int | None:
        """When the server is to delete what a batch makes, as near to `seconds` as it allows."""
        if self.output_expires_seconds is None:
            return None
        soonest, latest = self.output_expires_seconds
        return min(max(seconds, soonest), latest)

    def is_of(self, host: str, path: str) -> bool:
        """Whether a base URL with this host and path leads to such a server."""
        return _is_one_of(host, self.hosts) and path.rstrip("/").endswith(self.path)


def _hours(window: str) -> int:
    return int(window[:-1]) * _HOURS[window[-1]]


def _is_one_of(host: str, names: Iterable[str]) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in names)

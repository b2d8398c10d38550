"""Which profile a server has: the one that is asked for, or the one of its host."""

from typing import Final
from urllib.parse import urlsplit

from batch_assets.openai_batch.profiles.known import COMPATIBLE, PROFILES
from batch_assets.openai_batch.profiles.profile import Profile

NAMES: Final = tuple(profile.name for profile in PROFILES)


def profile_of(base_url: str, name: str | None = None) -> Profile:
    """The profile of this name, or else that of the server which the URL leads to.

    LookupError if there is none of this name. A URL that cannot be read has `COMPATIBLE`: whoever
    connects says what is wrong with it.
    """
    if name is not None:
        return {profile.name: profile for profile in PROFILES}[name]
    try:
        parts = urlsplit(base_url)
        host, path = (parts.hostname or "").lower(), parts.path
    except ValueError:
        return COMPATIBLE
    return next((profile for profile in PROFILES if profile.is_of(host, path)), COMPATIBLE)

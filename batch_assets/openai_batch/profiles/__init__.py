"""What the servers that speak the Batch API are like: one declarative record each.

Nothing outside of this package knows a provider's name: whatever one of them does in another way
is a field of `Profile`, and whoever does that looks at the field. Where a server turns out to be
otherwise than its profile says, the client finds out and goes on with what there is.
"""

from batch_assets.openai_batch.profiles.choosing import NAMES, profile_of
from batch_assets.openai_batch.profiles.dated import check_dated, versioned
from batch_assets.openai_batch.profiles.known import COMPATIBLE, DEFAULT_BASE_URL, PROFILES
from batch_assets.openai_batch.profiles.profile import Profile

__all__ = [
    "COMPATIBLE",
    "DEFAULT_BASE_URL",
    "NAMES",
    "PROFILES",
    "Profile",
    "check_dated",
    "profile_of",
    "versioned",
]

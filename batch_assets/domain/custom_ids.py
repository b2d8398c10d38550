"""How a result finds its request: by its line's `custom_id`, which is the request's own id.

Not each id comes back from a server as it was sent; what could not be matched is neither sent nor
read.
"""

_LONGEST = 512
"""Characters that the Batch API takes as a `custom_id`."""


def custom_id_of(request_id: str) -> str:
    """Make the `custom_id` of a request's line in an input file."""
    return request_id


def request_id_of(custom_id: object) -> str | None:
    """Read which request a result line is of; `None`: of none that can be told."""
    return custom_id if isinstance(custom_id, str) and can_be_matched(custom_id) else None


def can_be_matched(request_id: str) -> bool:
    """Whether a result can be matched to its request by this id.

    It has to be one printable line, not too long, with no space at its ends: a tab, a line end of
    any kind or half a surrogate pair may be changed, cut or escaped on the way, and so may what is
    too long.
    """
    return (
        0 < len(request_id) <= _LONGEST
        and request_id.isprintable()
        and request_id == request_id.strip()
    )

"""Which ids of requests come back from a server as they were sent."""

_LONGEST = 512
"""Characters that the Batch API takes as a `custom_id`."""


def can_be_matched(request_id: object) -> bool:
    """Whether a result can be matched to its request by this id: one printable line, not too long,
    with no space at its ends.

    A tab, a line end of any kind or half a surrogate pair may be changed, cut or escaped on the
    way, and so may what is too long. What could not be matched is neither sent nor read.
    """
    return (
        isinstance(request_id, str)
        and 0 < len(request_id) <= _LONGEST
        and request_id.isprintable()
        and request_id == request_id.strip()
    )

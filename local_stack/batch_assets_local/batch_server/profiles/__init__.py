"""Which server this one plays: how calls look on the wire, and what is usual there.

Written from the same documents as the client's profiles, and not from those: what one of them has
wrong, the other does not follow.
"""

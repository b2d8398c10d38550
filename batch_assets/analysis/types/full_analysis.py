"""`full_analysis`: the same question as `session_analysis` under LiveDash's older name.

Its batch code falls back to this one for a type that it does not know, and so do we.
"""

from dataclasses import replace

from batch_assets.analysis.types import session_analysis

TYPE = replace(session_analysis.TYPE, name="full_analysis", formerly=frozenset())

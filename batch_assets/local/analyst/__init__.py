"""Computes the local server's answers from the conversation: same input, same answer, no model.

It reads word lists (`topics.toml`, `lexicons/`), and nothing that a conversation says changes
what it does. It is good enough to be believed in a demo, and no more.
"""

from batch_assets.local.analyst.analysis import Analysis, analyse
from batch_assets.local.analyst.answers import answer

__all__ = ["Analysis", "analyse", "answer"]

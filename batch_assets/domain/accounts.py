"""Accounts: with whose key, and on which server, a company's batches are made.

Without further ones there is one, the default: that of OPENAI_API_KEY. A company is served by the
account that it was given to, or by the default; a batch keeps the account that it was made with.
"""

from typing import Final

DEFAULT_ACCOUNT: Final = "default"
"""The account of OPENAI_API_KEY; SQL has the same word."""

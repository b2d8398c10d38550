"""Every setting of the project: its name in the environment, its default and what is allowed.

Nothing is read when this package is imported; `load_settings` reads once, and what it returns does
not change. One module has one family of settings. What each setting is for stands in
`docs/configuration.md`, whose table a test compares with these.
"""

from batch_assets.settings.loading import allowed_values, load_settings
from batch_assets.settings.settings import Settings

__all__ = ["Settings", "allowed_values", "load_settings"]

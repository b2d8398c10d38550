"""Every setting of the project: its name in the environment, its default, what is allowed, and why.

A setting is declared once, in the module of its family; `docs/configuration.md` and the records
that others go by (`Policy`, `Limits`) are made from that. Nothing is read when this package is
imported; `load_settings` reads once, and what it returns does not change.
"""

from batch_assets.settings.doubts import Doubt, doubts
from batch_assets.settings.loading import LIVEDASH_NAMES, load_settings, name_warnings
from batch_assets.settings.settings import CONFIGURED_BY, Settings, all_settings, setting_names

__all__ = [
    "CONFIGURED_BY",
    "LIVEDASH_NAMES",
    "Doubt",
    "Settings",
    "all_settings",
    "doubts",
    "load_settings",
    "name_warnings",
    "setting_names",
]

"""`batch-assets …`: what people type.

`app.py` lists the commands; each has its options and its work in the module of its name. What
takes long to import (Dagster, the SDK, SQLAlchemy) is imported by the functions that need it, so
that help comes at once.
"""

from batch_assets.cli.app import main

__all__ = ["main"]

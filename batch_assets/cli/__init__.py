"""`batch-assets …`: what people type.

`app.py` lists the commands; each has its options and its work in the module of its name, which is
imported by that command alone: Dagster, the SDK and SQLAlchemy take long to import.
"""

from batch_assets.cli.app import main

__all__ = ["main"]

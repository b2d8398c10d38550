"""`batch-assets …`: what people type.

`app.py` declares the commands; each one's work is in a module of its own, which is imported by that
command alone: Dagster, the SDK and SQLAlchemy take longer to import than help may take to come.
"""

from batch_assets.cli.app import main

__all__ = ["main"]

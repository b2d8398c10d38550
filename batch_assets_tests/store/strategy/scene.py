"""What a scene is."""

from collections.abc import Callable
from typing import Any

from batch_assets.store.protocol import Queries

Scene = tuple[Callable[[Queries], Any], Callable[[Any], None]]
"""How to ask, and how to judge the answer and the rows that are left."""

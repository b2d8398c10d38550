"""What is loaded only when a command ends with an error that nobody has foreseen."""

from batch_assets.store.troubles import meant_by

__all__ = ["meant_by"]

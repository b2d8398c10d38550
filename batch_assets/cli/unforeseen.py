"""What is loaded only when a command ends with an error that nobody has foreseen."""

from batch_assets.store.troubles import at_its_end

__all__ = ["at_its_end"]

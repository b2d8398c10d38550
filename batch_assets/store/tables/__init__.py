"""The tables as SQLAlchemy Core sees them: LiveDash's in `public`, ours in `batch_assets`."""

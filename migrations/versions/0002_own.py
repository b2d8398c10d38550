"""Our own tables: the installation, batches, attempts, intake, retries and dead letters."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute((_SQL / "0002_own_create.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute((_SQL / "0002_own_drop.sql").read_text(encoding="utf-8"))

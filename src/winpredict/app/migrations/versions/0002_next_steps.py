"""what to do next about a deal, as it was published."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.add_column(sa.Column("next_steps", sa.JSON(), nullable=False, server_default="[]"))
    # for the runs that are there; whatever is published from now on tells its steps
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.alter_column("next_steps", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.drop_column("next_steps")

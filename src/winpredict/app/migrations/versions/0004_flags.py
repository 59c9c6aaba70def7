"""which flags a deal has, such as at risk or stalled."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.add_column(sa.Column("flags", sa.String(length=100), nullable=False, server_default=""))
    # for the runs that are there; whatever is published from now on has its flags
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.alter_column("flags", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.drop_column("flags")

"""An index that holds all that lists filter, sum and sort by.

Revision ID: 0006
Revises: 0005
Create Date: 2026-12-01
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.drop_index("ix_score_run_owner")
        batch_op.drop_index("ix_score_run_odds")
        batch_op.create_index(
            "ix_score_list",
            [
                "run_id",
                "owner_id",
                "stage",
                "band",
                "currency",
                "amount",
                "win_probability",
                "week_before",
                "flags",
                "expected_close_date",
                "last_touch_at",
                "deal_id",
            ],
            unique=False,
        )


def downgrade() -> None:
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.drop_index("ix_score_list")
        batch_op.create_index("ix_score_run_odds", ["run_id", "win_probability"], unique=False)
        batch_op.create_index("ix_score_run_owner", ["run_id", "owner_id"], unique=False)

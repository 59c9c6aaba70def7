"""passwords that must be changed, sessions that are told apart, links to reset a password, addresses in the log."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # in place: to make the table of people anew, SQLite would delete them, and their sessions and keys with them
    op.add_column("person", sa.Column("password_must_change", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "password_reset",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_password_reset_person_id_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_password_reset")),
    )
    with op.batch_alter_table("password_reset", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_password_reset_person_id"), ["person_id"], unique=False)
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.add_column(sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("browser", sa.String(length=200), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("address", sa.String(length=64), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("by_password", sa.Boolean(), nullable=False, server_default=sa.true()))
    # whoever is signed in stays so, and counts as seen now
    op.execute(sa.text("UPDATE session SET last_seen_at = CURRENT_TIMESTAMP"))
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.alter_column("last_seen_at", nullable=False)
        for name in ("browser", "address", "by_password"):
            batch_op.alter_column(name, server_default=None)
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.add_column(sa.Column("address", sa.String(length=64), nullable=False, server_default=""))
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.alter_column("address", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_column("address")
    with op.batch_alter_table("session", schema=None) as batch_op:
        for name in ("by_password", "address", "browser", "last_seen_at"):
            batch_op.drop_column(name)
    op.drop_table("password_reset")
    op.drop_column("person", "password_must_change")

"""Alembic's entry: migrates the connection that `winpredict.app.database` hands over."""

from alembic import context

from winpredict.app.records import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by making it anew
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()

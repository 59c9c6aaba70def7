"""What comes from a CRM and is never translated."""


def names_in(crm):
    """Names of deals, accounts and people, stages and other texts, and names of columns as they are written."""
    columns = {column for _, table in crm.tables() for column in table}
    texts = {
        value
        for _, table in crm.tables()
        for column in table
        if table[column].dtype.kind not in "biufM"
        for value in table[column].dropna().unique()
    }
    words = {column.replace("_", " ") for column in columns}
    return {*map(str, texts), *columns, *words, *(each.capitalize() for each in words)}

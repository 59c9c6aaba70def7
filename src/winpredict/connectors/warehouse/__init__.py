"""Warehouses: tables that loaders land, and the table that scores are written into."""

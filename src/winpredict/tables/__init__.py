"""Canonical tables of a CRM: schemas, the bundle, its quality."""

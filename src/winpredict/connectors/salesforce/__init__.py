"""Salesforce, live."""

"""Zoho CRM, live."""

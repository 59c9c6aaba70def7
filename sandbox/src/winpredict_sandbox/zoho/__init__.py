"""A stand-in of Zoho CRM."""

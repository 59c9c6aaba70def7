"""Writing scores into fields of the CRM's deals."""

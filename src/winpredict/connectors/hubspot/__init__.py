"""HubSpot, live."""

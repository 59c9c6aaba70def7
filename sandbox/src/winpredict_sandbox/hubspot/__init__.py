"""A stand-in of HubSpot."""

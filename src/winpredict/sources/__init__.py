"""Live CRMs and warehouses: reading them, and writing scores back."""

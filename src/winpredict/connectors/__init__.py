"""Live CRMs and warehouses: what they record is read, stored raw, and scores are written back."""

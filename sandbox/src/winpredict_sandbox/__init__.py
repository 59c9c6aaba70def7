"""Stand-ins of live CRMs on loopback, written from the vendors' documentation: for the demo and for tests."""

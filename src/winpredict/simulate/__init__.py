"""The simulated company, whose true odds are known."""

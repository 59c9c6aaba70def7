"""Why: contributions, reasons, and the scores that carry them."""

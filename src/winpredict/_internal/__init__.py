"""What every room may use: errors, safe file writing, progress. Knows nothing of sales."""

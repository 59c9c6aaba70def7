"""Who was erased, known by keyed hashes alone, and how their values are taken out of whatever is kept."""

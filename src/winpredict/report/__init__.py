"""Reports that are read, printed and passed on: self-contained pages out of explanations and insights."""

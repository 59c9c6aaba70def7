"""Texts into numbers, times and flags; what cannot be read is told apart from what is missing."""

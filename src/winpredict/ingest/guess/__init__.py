"""A first profile for unknown files, from the names and contents of their columns."""

from winpredict.ingest.guess.outcomes import Point
from winpredict.ingest.guess.proposal import Guess, guess_profile, propose

__all__ = ["Guess", "Point", "guess_profile", "propose"]

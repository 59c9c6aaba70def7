"""Raw CRM data into canonical tables."""

from winpredict.ingest.guess import Guess, guess_profile, propose
from winpredict.ingest.importing import Imported, import_files
from winpredict.ingest.profiles import Profile, load_profile, profile_yaml, shipped_profiles

__all__ = [
    "Guess",
    "Imported",
    "Profile",
    "guess_profile",
    "import_files",
    "load_profile",
    "profile_yaml",
    "propose",
    "shipped_profiles",
]

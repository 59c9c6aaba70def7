"""Raw CRM data into canonical tables."""

from winpredict.ingest.guess import guess_profile
from winpredict.ingest.importing import Imported, import_files
from winpredict.ingest.profiles import Profile, load_profile, profile_yaml, shipped_profiles

__all__ = ["Imported", "Profile", "guess_profile", "import_files", "load_profile", "profile_yaml", "shipped_profiles"]

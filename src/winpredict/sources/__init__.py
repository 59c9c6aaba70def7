"""Raw CRM data into canonical tables."""

from winpredict.sources.guess import guess_profile
from winpredict.sources.importing import Imported, import_files
from winpredict.sources.profiles import Profile, load_profile, profile_yaml, shipped_profiles

__all__ = ["Imported", "Profile", "guess_profile", "import_files", "load_profile", "profile_yaml", "shipped_profiles"]

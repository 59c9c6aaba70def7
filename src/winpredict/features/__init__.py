"""Deal attributes as they stood on a day."""

"""What people read, in their language: messages with named placeholders, catalogues, and how figures are written."""

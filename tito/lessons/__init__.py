"""A lesson's way from its one source to a student, and back into the package."""

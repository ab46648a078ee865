"""The course's tools: lessons from one source to a graded notebook."""

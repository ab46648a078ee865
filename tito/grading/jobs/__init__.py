"""Jobs of grading: a table with leases, the workers that empty it, and one writer of marks."""

"""Speed verdicts: statistics, pairs, sandboxes, attacks."""

"""The judge: graded cells run here, trusted, and ask a sandbox what the student made."""

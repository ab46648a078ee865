"""The trusted side of a sandbox: it starts, bounds, talks to and ends a student's process."""

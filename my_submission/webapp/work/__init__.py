"""The job queue and what it makes of a song."""

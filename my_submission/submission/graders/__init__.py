"""What stands for the grader in a rehearsal: written from the contracts, independent of the rest of the package.

Each file is copied or run beside a submission in the submission's own environment, so it imports nothing of ours.
Every song's time goes as one JSON line into the file that REHEARSAL_RECORD names.
"""

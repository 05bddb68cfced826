"""Runners that stand in for the grader in a rehearsal, written from the challenges' contracts.

Each file is copied or run beside a submission in the submission's environment, so it imports nothing of this package.
The runners append one JSON line per song to the file REHEARSAL_RECORD.
"""

"""Files and folders on this machine: atomic writes, locks, clean-up after killed runs, hashes, the cache folder."""

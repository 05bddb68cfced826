"""The studio: the component that plays and mixes a song, and the addresses that it loads from."""

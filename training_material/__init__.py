"""Training material: songs, singing, speech and sound effects that are rendered, synthesised or cut from recordings."""

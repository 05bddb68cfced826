"""Electronic songs: synthesised basses, drums and other instruments that play MIDI songs."""

"""HTTP in front of Streamlit: the guard, uploads on disk, and Streamlit's internals. Knows nothing of songs."""

"""The page: a song in, stems to look at, listen to, mix and take away. Streamlit is imported nowhere else."""

"""The views that Streamlit draws, and what they read of uploads and scores files."""

"""The web page: upload a song, then view, play, mix and download its stems. The only package that imports Streamlit."""

"""Songs of the server and the browser sessions that they belong to."""

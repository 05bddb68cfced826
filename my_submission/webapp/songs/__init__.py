"""Songs of the server: their secret addresses, their time to live, and the visits that list them."""

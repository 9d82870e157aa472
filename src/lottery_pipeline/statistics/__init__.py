"""Statistics: what a few seeds say about all of them."""

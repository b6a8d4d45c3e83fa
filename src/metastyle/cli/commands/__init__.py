"""One file per command; each is a thin layer over the library."""

"""One file per command; each is a thin face over the library."""

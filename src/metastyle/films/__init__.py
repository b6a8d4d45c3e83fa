"""Films: read, painted frame by frame without flicker, written with their sound."""

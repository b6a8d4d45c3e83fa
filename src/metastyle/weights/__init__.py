"""Which numbers exist, where they are found, and how they are checked."""

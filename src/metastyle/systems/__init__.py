"""The compared systems: those of Table 1, and others."""

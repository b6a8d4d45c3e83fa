"""The other systems of Table 1."""

"""A style applied: whole, tiled, batched, exported."""

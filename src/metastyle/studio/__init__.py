"""The studio: a page where a painting becomes a filter, and the server behind it."""

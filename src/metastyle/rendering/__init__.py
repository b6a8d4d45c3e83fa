"""Applying a style to pixels: whole pictures, strips, batches, films; and export."""

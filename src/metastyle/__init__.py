"""Teach a small network any painting in seconds, then repaint photos with it."""

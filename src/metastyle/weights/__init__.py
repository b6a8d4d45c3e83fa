"""Weights and styles as files: which exist, where they are found, and how they are checked."""

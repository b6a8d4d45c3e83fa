"""The method: networks, losses, bilevel objective, adaptation. No file access, no printing."""

"""The science: networks, losses, bilevel objective, adaptation. No file access, no printing."""

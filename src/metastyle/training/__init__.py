"""Meta-training: data, episodes, the loop."""

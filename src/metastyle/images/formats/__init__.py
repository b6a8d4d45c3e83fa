"""One file for each picture format that needs care of its own."""

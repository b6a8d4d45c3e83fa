"""One file for each picture format that needs special care."""

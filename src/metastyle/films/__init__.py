"""Films: reading, painting without flicker, and writing with sound."""

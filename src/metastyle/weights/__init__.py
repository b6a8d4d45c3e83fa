"""Files of weights and styles: their locations and checks."""

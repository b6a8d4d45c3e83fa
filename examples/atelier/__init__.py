"""The workshop behind the example pictures: every pixel of them comes from the code in this folder."""

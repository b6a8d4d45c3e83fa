"""The one exception that a user is meant to read."""


class MetastyleError(Exception):
    """Something that a user can mend: one line that says what is wrong and what would be right.

    The command line prints it and exits with code 2; anything else that escapes is a bug.
    """

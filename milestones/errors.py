"""The one exception for what a person can mend: shown as one line, exit status 2, no traceback."""


class UserError(Exception):
    """Bad input: the message names what was wrong and what to do, in one line."""

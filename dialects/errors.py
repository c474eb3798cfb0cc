"""The base of every error that a user can cause and mend."""


class SardonyxError(Exception):
    """
    Says in one line what was found, what was wanted, and where in the user's terms.
    """

"""The base of every error that a user can cause and mend."""

LONGEST = 2000
"""How many characters an error has at most: names from a model may be endless."""


class SardonyxError(Exception):
    """
    Says in one line what was found, what was wanted, and where in the user's terms.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= LONGEST:
            return text
        half = LONGEST // 2 - 2
        return f"{text[:half]} … {text[-half:]}"

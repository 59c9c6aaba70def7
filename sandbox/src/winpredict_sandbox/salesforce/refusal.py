"""How the Salesforce stand-in says no."""


class RefusedError(Exception):
    """A request that is refused.

    Parameters
    ----------
    status : int
        Of the answer.
    code : str
        Salesforce's name for the reason, such as INVALID_FIELD.
    message : str
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

"""The one family of errors that winpredict raises on purpose."""


class WinPredictError(Exception):
    """Something the user can put right; the message says what, where and how.

    The command line prints the message and exits with code 2; it never shows a traceback for one of these.

    Examples
    --------
    >>> raise WinPredictError("deals.csv has no column 'Id'; name it in the profile under deals.columns.deal_id")
    Traceback (most recent call last):
    winpredict.errors.WinPredictError: deals.csv has no column 'Id'; name it in the profile under \
deals.columns.deal_id
    """


class InputFileError(WinPredictError):
    """A file cannot be read: missing, empty, of another kind, or not written as the profile says."""


class ProfileError(WinPredictError):
    """A mapping profile is missing, malformed, or does not fit the files."""


class TableError(WinPredictError, ValueError):
    """A canonical table breaks its schema, or a frame its contract."""


class ConfigError(WinPredictError):
    """A configuration value is unknown or out of range."""


class TooLittleDataError(WinPredictError, ValueError):
    """The data carry too few closed deals for what was asked."""


class NotFittedError(WinPredictError):
    """A model was asked for odds before it was trained."""


class WorkspaceError(WinPredictError):
    """The workspace is missing, locked, unwritable or of another version."""


class WorkspaceBusyError(WorkspaceError):
    """Another process is writing in the workspace."""


class DigestError(WinPredictError):
    """The digest did not reach somebody it was to be sent to."""


class CRMError(WinPredictError):
    """A live CRM cannot be reached, or refuses what was asked."""


class CRMSignInError(CRMError):
    """Credentials are missing, wrong or expired, or do not allow what was asked."""


class CRMLimitError(CRMError):
    """The CRM's limits, or the share of them that the config allows, are used up; what was read so far is kept."""


class CRMObjectError(CRMError):
    """The CRM refuses one kind of record, and would answer for the others; the message says what would mend it."""


class CRMFieldError(CRMError):
    """The CRM has no such field."""


class CRMUncertainError(CRMError):
    """The connection broke after something was sent to be written: nobody knows whether it was."""

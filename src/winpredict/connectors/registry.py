"""The live CRMs by their names."""

from importlib import import_module

from winpredict.config import Config
from winpredict.connectors.base import CRMSource
from winpredict.errors import CRMError
from winpredict.locale.text import text

#: Each has a module of its name here, with a function ``connect``, and a shipped profile of its name.
CRMS = ("salesforce", "hubspot", "zoho")
_EXTRA = ("httpx", "tenacity", "simple_salesforce", "jwt", "keyring")


def require_known(name: str) -> str:
    """The name, if it is one of `CRMS`.

    Raises
    ------
    CRMError
        When it is not.

    Examples
    --------
    >>> require_known("pipedrive")
    Traceback (most recent call last):
    winpredict.errors.CRMError: there is no live CRM 'pipedrive'; these are salesforce, hubspot, zoho
    """
    if name not in CRMS:
        raise CRMError(text("there is no live CRM {name!r}; these are {crms}", name=name, crms=", ".join(CRMS)))
    return name


def connect_to(name: str, config: Config) -> CRMSource:
    """A live CRM, with the secrets that `winpredict.connectors.secrets` finds; nothing is sent yet.

    Parameters
    ----------
    name : str
        One of `CRMS`.
    config : Config
        Its section crm says how the CRM is reached.

    Returns
    -------
    CRMSource

    Raises
    ------
    CRMError
        When there is no such CRM, or what it needs is not installed.
    CRMSignInError
        When a secret is missing.
    """
    try:
        module = import_module(f"winpredict.connectors.{require_known(name)}.client")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise CRMError(
            text(
                '{name} needs {module}, which is not installed: pip install "winpredict[crm]"',
                name=name,
                module=error.name,
            )
        ) from None
    source: CRMSource = module.connect(config)
    return source

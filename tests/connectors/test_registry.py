import sys

import pytest

from winpredict.config import Config
from winpredict.connectors.registry import CRMS, connect_to
from winpredict.errors import CRMError
from winpredict.ingest.profiles import shipped_profiles


def test_every_crm_has_a_profile_of_its_name():
    assert set(CRMS) <= set(shipped_profiles())


def test_an_unknown_crm_is_named():
    with pytest.raises(CRMError, match="no live CRM 'pipedrive'"):
        connect_to("pipedrive", Config())


@pytest.mark.parametrize("name", CRMS)
def test_a_missing_extra_is_said(name, monkeypatch):
    for module in [each for each in sys.modules if each.startswith("winpredict.connectors.")]:
        if name in module or module.endswith("._http"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(CRMError, match=r'needs httpx.*pip install "winpredict\[crm\]"'):
        connect_to(name, Config())

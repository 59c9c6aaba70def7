"""Zoho's own client for Python drives the stand-in: what it understands, the real one may have said."""

import pandas as pd
import pytest

pytest.importorskip("fastapi")
pytest.importorskip(
    "zohocrmsdk", reason="zohocrmsdk8-0, Zoho's own client, is not installed: pip install zohocrmsdk8-0"
)

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import TokenStore
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.currencies import CurrenciesOperations
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.deal_contact_roles import (
    DealContactRolesOperations,
    GetAssociatedContactRolesParam,
)
from zohocrmsdk.src.com.zoho.crm.api.fields import FieldsOperations, GetFieldsParam
from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer
from zohocrmsdk.src.com.zoho.crm.api.org import OrgOperations
from zohocrmsdk.src.com.zoho.crm.api.pipeline import PipelineOperations
from zohocrmsdk.src.com.zoho.crm.api.record import (
    APIException,
    BodyWrapper,
    Field,
    GetDeletedRecordsHeader,
    GetRecordsHeader,
    GetRecordsParam,
    Record,
    RecordOperations,
)
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig
from zohocrmsdk.src.com.zoho.crm.api.timelines import TimelinesOperations
from zohocrmsdk.src.com.zoho.crm.api.users import GetUsersParam, UsersOperations

from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import DealDeletion, DealEdit
from winpredict_sandbox.serving import served
from winpredict_sandbox.zoho.server import ZohoServer


class KeptInMemory(TokenStore):
    """Keeps the one token of a test."""

    def __init__(self):
        self.token = None

    def find_token(self, token):
        return self.token

    def find_token_by_id(self, id):
        return self.token

    def save_token(self, token):
        token.set_id("1")
        self.token = token

    def delete_token(self, id):
        self.token = None

    def delete_tokens(self):
        self.token = None

    def get_tokens(self):
        return [self.token]


@pytest.fixture
def server():
    return ZohoServer.of(simulate(deals=60, seed=3))


@pytest.fixture
def address(server, tmp_path):
    with served(server.app, server.clock) as address:
        limiter = server.rate_limiter
        token = OAuthToken(
            client_id=limiter.client_id, client_secret=limiter.client_secret, refresh_token=limiter.refresh_token
        )
        environment = DataCenter.Environment(address, f"{address}/oauth/v2/token", address)
        (tmp_path / "resources").mkdir()
        Initializer.initialize(
            environment,
            token,
            store=KeptInMemory(),
            sdk_config=SDKConfig(read_timeout=10, connect_timeout=10),
            resource_path=str(tmp_path / "resources"),
        )
        yield address


def given(*pairs):
    told = ParameterMap()
    for name, value in pairs:
        told.add(name, value)
    return told


def test_the_client_stays_at_the_stand_in(server, address):
    OrgOperations().get_organization()
    assert Initializer.get_initializer().environment.url == address
    assert Initializer.get_initializer().token.get_api_domain() == address


def test_the_organisation_with_its_licence(server, address):
    (org,) = OrgOperations().get_organization().get_object().get_org()
    assert (org.get_company_name(), org.get_zgid(), org.get_iso_code()) == ("Zylker", "60001234567", "USD")
    licence = org.get_license_details()
    assert (licence.get_paid_type(), licence.get_users_license_purchased()) == ("enterprise", 10)


def test_users(server, address):
    everybody = UsersOperations().get_users(given((GetUsersParam.type, "AllUsers")), HeaderMap()).get_object()
    assert [str(each.get_id()) for each in everybody.get_users()] == list(server.owners())
    one = UsersOperations().get_users(given((GetUsersParam.type, "CurrentUser")), HeaderMap()).get_object()
    assert [each.get_profile().get_name() for each in one.get_users()] == ["Administrator"]


def test_fields_of_a_module(server, address):
    server.add_formula("Days_Open", lambda deal: 7.0)
    told = FieldsOperations().get_fields(given((GetFieldsParam.module, "Deals"))).get_object().get_fields()
    found = {each.get_api_name(): each for each in told}
    assert found.keys() == server.definitions.keys()
    assert (found["Amount"].get_data_type(), found["Amount"].get_visible()) == ("currency", True)
    assert [each.get_permission_type() for each in found["Amount"].get_profiles()] == ["read_write", "read_write"]
    assert found["Days_Open"].get_formula().get_return_type() == "double"
    assert found["Region"].get_custom_field()


def test_pipelines(server, address):
    (pipeline,) = PipelineOperations(5500100000000091023).get_pipelines().get_object().get_pipeline()
    told = {each.get_actual_value(): each.get_display_value() for each in pipeline.get_maps()}
    assert told["Id. Decision Makers"] == "Identify Decision Makers"
    assert told["Closed Won"] == "Closed Won"


def test_currencies(server, address):
    refused = CurrenciesOperations().get_currencies()
    assert refused.get_status_code() == 400
    assert refused.get_object().get_code().get_value() == "CURRENCIES_NOT_ENABLED"
    server.have_currencies(("USD", "US Dollar", "1.000000000"), ("EUR", "Euro", "0.900000000"))
    found = CurrenciesOperations().get_currencies().get_object().get_currencies()
    assert [(each.get_iso_code(), each.get_exchange_rate(), each.get_is_base()) for each in found] == [
        ("USD", "1.000000000", True),
        ("EUR", "0.900000000", False),
    ]


def test_records_page_by_page(server, address):
    deals, token, pages = {}, None, 0
    while token is not None or not pages:
        asked = given(
            (GetRecordsParam.fields, "Deal_Name,Stage,Amount,Closing_Date,Owner,Modified_Time"),
            (GetRecordsParam.per_page, 25),
            (GetRecordsParam.sort_by, "Modified_Time"),
            (GetRecordsParam.sort_order, "asc"),
            *([(GetRecordsParam.page_token, token)] if token else []),
        )
        page = RecordOperations("Deals").get_records(asked, HeaderMap()).get_object()
        deals |= {str(each.get_id()): each for each in page.get_data()}
        token, pages = page.get_info().get_next_page_token(), pages + 1
        assert page.get_info().get_more_records() == (token is not None)
    assert pages == 3
    assert deals.keys() == server.stage_of.keys()
    for deal_id, deal in deals.items():
        told = server.deal(deal_id).values
        assert deal.get_key_value("Stage").get_value() == told["Stage"]
        assert deal.get_key_value("Amount") == told["Amount"]
        assert str(deal.get_key_value("Closing_Date")) == told["Closing_Date"]
        assert str(deal.get_key_value("Owner").get_id()) == told["Owner"]["id"]


def test_changes_and_deletions_since(server, address):
    server.clock.advance(1800)
    since = server.now - pd.Timedelta("1min")
    changed, gone = server.open_deals()[:2]
    server.apply(DealEdit(changed, {"amount": 77.0}))
    server.apply(DealDeletion(gone))
    header = HeaderMap()
    header.add(GetRecordsHeader.if_modified_since, since.to_pydatetime())
    page = RecordOperations("Deals").get_records(given((GetRecordsParam.fields, "Amount")), header).get_object()
    assert [(str(each.get_id()), each.get_key_value("Amount")) for each in page.get_data()] == [(changed, 77.0)]
    header = HeaderMap()
    header.add(GetDeletedRecordsHeader.if_modified_since, since.to_pydatetime())
    page = RecordOperations("Deals").get_deleted_records(ParameterMap(), header).get_object()
    assert [(str(each.get_id()), each.get_type()) for each in page.get_data()] == [(gone, "recycle")]


def test_timelines_and_contacts_of_a_deal(server, address):
    deal_id = next(each for each in server.open_deals() if server.roles.get(each))
    server.apply(DealEdit(deal_id, {"amount": 77.0}))
    latest = TimelinesOperations().get_timelines("Deals", deal_id, ParameterMap()).get_object().get_timeline()[0]
    (change,) = latest.get_field_history()
    assert (change.get_api_name(), change.get_value().get_new()) == ("Amount", "77.0")
    asked = given((GetAssociatedContactRolesParam.fields, "Contact_Role"))
    found = DealContactRolesOperations().get_associated_contact_roles(int(deal_id), asked).get_object().get_data()
    assert {str(each.get_id()): each.get_contact_role().get_name() for each in found} == {
        contact: role for contact, (role, _) in server.roles[deal_id].items()
    }


def test_a_write(server, address):
    deal_id, record, body = server.open_deals()[0], Record(), BodyWrapper()
    record.set_id(int(deal_id))
    record.add_field_value(Field.Deals.amount(), 4321.0)
    body.set_data([record])
    (done,) = RecordOperations("Deals").update_records(body, HeaderMap()).get_object().get_data()
    assert (done.get_status().get_value(), server.deal(deal_id).values["Amount"]) == ("success", 4321.0)


def test_refusals(server, address):
    server.rate_limiter.not_supported = {"Notes"}
    server.rate_limiter.no_permission = {"Calls"}
    server.rate_limiter.scopes -= {"ZohoCRM.modules.tasks.READ"}
    told = {}
    for module in ("Notes", "Calls", "Tasks"):
        answer = RecordOperations(module).get_records(given((GetRecordsParam.fields, "Owner")), HeaderMap())
        assert isinstance(answer.get_object(), APIException)
        told[module] = (answer.get_status_code(), answer.get_object().get_code().get_value())
    assert told == {
        "Notes": (400, "NOT_SUPPORTED"),
        "Calls": (403, "NO_PERMISSION"),
        "Tasks": (401, "OAUTH_SCOPE_MISMATCH"),
    }

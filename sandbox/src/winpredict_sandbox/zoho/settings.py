"""What an organisation in Zoho's stand-in has been set up as: fields, layouts, currencies, users and the licence."""

from collections.abc import Mapping
from typing import Any

from winpredict_sandbox.zoho.world import DEALS, REGION, STAYS

Values = dict[str, Any]

#: Profiles by id.
ADMINISTRATOR, STANDARD = "5500100000000026011", "5500100000000026014"
PROFILES = {ADMINISTRATOR: "Administrator", STANDARD: "Standard"}
#: Layouts of deals by id.
LAYOUTS = {"5500100000000091023": "Standard", "5500100000000091055": "Partner"}
_STAMPS = (("Created_Time", "datetime"), ("Modified_Time", "datetime"))
_LINKS = (("What_Id", "lookup"), ("Who_Id", "lookup"), ("Owner", "ownerlookup"), *_STAMPS)
#: Standard fields of each module with their kinds.
_STANDARD: Mapping[str, tuple[tuple[str, str], ...]] = {
    DEALS: (
        ("Deal_Name", "text"),
        ("Stage", "picklist"),
        ("Amount", "currency"),
        ("Currency", "picklist"),
        ("Exchange_Rate", "double"),
        ("Closing_Date", "date"),
        ("Owner", "ownerlookup"),
        ("Account_Name", "lookup"),
        ("Pipeline", "picklist"),
        ("Type", "picklist"),
        ("Lead_Source", "picklist"),
        ("Probability", "integer"),
        ("Reason_For_Loss__s", "picklist"),
        *_STAMPS,
    ),
    "Calls": (
        ("Subject", "text"),
        ("Call_Start_Time", "datetime"),
        ("Call_Type", "picklist"),
        ("Call_Duration_in_seconds", "integer"),
        ("Call_Result", "picklist"),
        ("Outgoing_Call_Status", "picklist"),
        ("CTI_Entry", "boolean"),
        *_LINKS,
    ),
    "Events": (
        ("Event_Title", "text"),
        ("Start_DateTime", "datetime"),
        ("End_DateTime", "datetime"),
        ("Participants", "bigint"),
        *_LINKS,
    ),
    "Tasks": (
        ("Subject", "text"),
        ("Status", "picklist"),
        ("Due_Date", "date"),
        ("Closed_Time", "datetime"),
        *_LINKS,
    ),
    "Notes": (("Note_Title", "text"), ("Note_Content", "textarea"), ("Parent_Id", "lookup"), *_LINKS[2:]),
    "Accounts": (
        ("Account_Name", "text"),
        ("Industry", "picklist"),
        ("Employees", "integer"),
        ("Annual_Revenue", "currency"),
        ("Billing_Country", "text"),
        *_STAMPS,
    ),
    "Contacts": (("Last_Name", "text"), ("Email", "email"), ("Owner", "ownerlookup"), *_STAMPS),
    STAYS: (
        ("Potential_Name", "lookup"),
        ("Stage", "picklist"),
        ("Moved_To__s", "picklist"),
        ("Amount", "currency"),
        ("Closing_Date", "date"),
        ("Stage_Duration_Calendar_Days", "integer"),
        ("Modified_Time", "datetime"),
    ),
}
#: Fields of deals that the organisation made.
_OWN = (
    ("Product_Family", "picklist"),
    (REGION, "picklist"),
    ("Competitor", "picklist"),
    ("Campaign_Code", "text"),
    ("Contract_Signed", "datetime"),
    ("Files", "fileupload"),
)
_JSON_TYPES = {
    "currency": "double",
    "double": "double",
    "percent": "double",
    "formula": "double",
    "integer": "integer",
    "boolean": "boolean",
    "lookup": "jsonobject",
    "ownerlookup": "jsonobject",
    "fileupload": "jsonarray",
    "bigint": "string",
}


def all_definitions() -> dict[str, dict[str, Values]]:
    """Fields of each module by name."""
    found = {
        module: {name: definition(name, name.replace("_", " "), kind, custom=False) for name, kind in fields}
        for module, fields in _STANDARD.items()
    }
    found[DEALS] |= {name: definition(name, name.replace("_", " "), kind, custom=True) for name, kind in _OWN}
    return found


def definition(name: str, label: str, kind: str, *, custom: bool, length: int = 255) -> Values:
    """A field as the settings tell it."""
    number = str(5500100000000500000 + sum(ord(letter) * 31**place for place, letter in enumerate(name)) % 400_000)
    on_every_page = {"view": True, "edit": kind != "formula", "quick_create": False, "create": kind != "formula"}
    by_program = {"web_update": True, "api_create": True, "web_create": True, "api_update": True}
    return {
        "associated_module": None,
        "webhook": True,
        "operation_type": by_program,
        "colour_code_enabled_by_system": False,
        "field_label": label,
        "tooltip": None,
        "type": "used",
        "field_read_only": kind == "formula",
        "customizable_properties": [],
        "display_label": label,
        "read_only": kind == "formula",
        "businesscard_supported": False,
        "id": number,
        "filterable": True,
        "created_time": None,
        "visible": True,
        "profiles": [{"permission_type": "read_write", "name": each, "id": key} for key, each in PROFILES.items()],
        "view_type": on_every_page,
        "separator": False,
        "searchable": True,
        "external": None,
        "api_name": name,
        "unique": {},
        "enable_colour_code": False,
        "pick_list_values": [],
        "system_mandatory": False,
        "private": None,
        "virtual_field": False,
        "json_type": _JSON_TYPES.get(kind, "string"),
        "crypt": None,
        "created_source": "default",
        "available_in_user_layout": True,
        "display_type": -1,
        "ui_type": 1,
        "modified_time": None,
        "email_parser": {"fields_update_supported": False, "record_operations_supported": False},
        "currency": {},
        "custom_field": custom,
        "lookup": {},
        "convert_mapping": None,
        "rollup_summary": {},
        "length": length,
        "column_name": name.upper(),
        "display_field": False,
        "pick_list_values_sorted_lexically": False,
        "sortable": True,
        "global_picklist": None,
        "history_tracking": None,
        "history_tracking_enabled": False,
        "data_type": kind,
        "formula": {"return_type": "double", "expression": "Datecomp(Now(),${Deals.Created Time})"}
        if kind == "formula"
        else {},
        "decimal_place": None,
        "mass_update": True,
        "multiselectlookup": {},
        "multiuserlookup": {},
        "multi_module_lookup": {},
        "auto_number": {},
        "autonumber": {},
        "blueprint_supported": True,
        "layout_associations": [{"id": key, "name": each, "api_name": each} for key, each in LAYOUTS.items()],
        "quick_sequence_number": None,
        "refer_from_field": None,
        "show_type": 7,
        "category": 1,
        "sharing_properties": None,
        "file_upolad_optionlist": [],
        "sub_module": None,
        "subform": None,
        "association_details": None,
        "allowed_modules": [],
        "additional_column": None,
        "hipaa_compliance_enabled": False,
        "hipaa_compliance": None,
        "number_separator": kind in ("integer", "double", "currency"),
        "textarea": None,
        "static_field": False,
    }


def organisation(settings: Mapping[str, Any]) -> Values:
    """The organisation, with what differs from a usual one."""
    licence = {
        "paid_expiry": "2027-01-01T00:00:00+05:30",
        "users_license_purchased": 10,
        "trial_type": None,
        "trial_expiry": None,
        "paid": True,
        "paid_type": "enterprise",
        "trial_action": None,
    }
    return {
        "country": "US",
        "photo_id": None,
        "city": None,
        "description": None,
        "mc_status": False,
        "gapps_enabled": False,
        "translation_enabled": False,
        "street": None,
        "domain_name": "org60001234567",
        "alias": None,
        "currency": "US Dollar",
        "id": "5500100000000099",
        "state": None,
        "fax": None,
        "zip": None,
        "employee_count": "100",
        "website": None,
        "currency_symbol": "$",
        "mobile": None,
        "currency_locale": "en_US",
        "primary_zuid": "60001234500",
        "zia_portal_id": None,
        "time_zone": "Asia/Kolkata",
        "zgid": "60001234567",
        "country_code": "US",
        "license_details": licence,
        "phone": None,
        "company_name": "Zylker",
        "privacy_settings": False,
        "primary_email": "owner@example.com",
        "iso_code": "USD",
        "deletable_org_account": True,
        "hierarchy_preferences": {"type": "Role_Hierarchy", "strictly_reporting": False},
        "hipaa_compliance_enabled": False,
        "lite_users_enabled": False,
        "max_per_page": 200,
        "ezgid": "e60001234567",
        "call_icon": None,
        "oauth_presence": True,
        "zia_zgid": None,
        "checkin_preferences": {"restricted_event_types": None},
        **settings,
    }


def currency(iso_code: str, name: str, rate: str, *, base: bool, stamp: str) -> Values:
    """A currency of an organisation that has several."""
    who = {"name": "Owner", "id": "5500100000000225013"}
    return {
        "symbol": iso_code,
        "created_time": stamp,
        "is_active": True,
        "exchange_rate": rate,
        "format": {"decimal_separator": "Period", "thousand_separator": "Comma", "decimal_places": "2"},
        "created_by": who,
        "prefix_symbol": True,
        "is_base": base,
        "modified_time": stamp,
        "name": f"{name} - {iso_code}",
        "modified_by": who,
        "id": str(5500100000000600000 + sum(map(ord, iso_code))),
        "iso_code": iso_code,
    }


def module_settings(name: str) -> Values:
    """A module as the list of modules tells it."""
    return {
        "api_name": name,
        "module_name": name,
        "singular_label": name.removesuffix("s"),
        "plural_label": name,
        "generated_type": "default",
        "api_supported": True,
        "viewable": True,
        "editable": True,
        "creatable": True,
        "deletable": True,
        "visible": True,
        "modified_time": None,
        "profiles": [{"name": each, "id": key} for key, each in PROFILES.items()],
        "id": str(5500100000000002000 + sum(map(ord, name))),
    }

"""The stories that the shipped features tell, and what attributes are called."""

from winpredict.features.description import Theme
from winpredict.features.naming import label_of
from winpredict.features.observed import OBSERVED
from winpredict.locale.text import Text, text

_LABELS = {
    "currency": text("currency"),
    "deal_type": text("deal type"),
    "lead_source": text("lead source"),
    "pipeline": text("pipeline"),
    "product": text("product"),
    "account_annual_revenue": text("annual revenue of the customer"),
    "account_country": text("country of the customer"),
    "account_employees": text("employees of the customer"),
    "account_industry": text("industry of the customer"),
}

AGE = Theme("age", text("age of the deal"))
AMOUNT = Theme("amount", text("amount"))
CALLS = Theme("calls", text("calls"), "controllable")
CONTACTS = Theme("contacts", text("contacts involved"), "controllable")
CUSTOMER = Theme("customer", text("history with the customer"), "context")
DISCOUNT = Theme("discount", text("discount"), "controllable")
EMAILS = Theme("emails", text("emails"), "controllable")
EXPECTED_CLOSE = Theme("expected_close", text("expected close date"), "controllable")
INBOUND = Theme("inbound", text("inbound touches"), "customer")
LAST_RESULT = Theme("last_result", text("result of the last touch"), "customer")
MEETINGS = Theme("meetings", text("meetings"), "controllable")
OWNER = Theme("owner", text("the owner's track record"), "context", "managers")
PACE = Theme("pace", text("pace through the stages"))
PRODUCTS = Theme("products", text("products on the deal"))
PRODUCT_CHANGES = Theme("product_changes", text("changes of the products on the deal"))
RESULTS = Theme("results", text("results of touches"), "customer")
SENIOR_CONTACTS = Theme("senior_contacts", text("senior contacts"), "controllable")
SILENCE = Theme("silence", text("time since the last touch"), "controllable")
STAGE = Theme("stage", text("stage"))
TEAM = Theme("team", text("people of ours involved"), "controllable")
TIME_IN_STAGES = Theme("time_in_stages", text("time spent in stages"), "controllable")
TOUCHES = Theme("touches", text("number of touches"), "controllable")


_SHIPPED = frozenset(each.key for each in tuple(globals().values()) if isinstance(each, Theme))


def attribute_label(name: str) -> Text:
    """What an attribute is called: by us where the schema knows it, else as in the CRM.

    Examples
    --------
    >>> str(attribute_label("deal_type")), str(attribute_label("Competitor__c"))
    ('deal type', 'Competitor')
    """
    bare = name.removeprefix(OBSERVED)
    return _LABELS.get(bare) or text("{label}", label=label_of(bare))


def attribute(name: str) -> Theme:
    """The theme of an attribute of the CRM: its own value, and how deals that share it ended."""
    return Theme(f"{name}_attribute" if name in _SHIPPED else name, attribute_label(name), "context")


def wording(column: str, label: Text) -> Theme:
    """The theme of the words that a text column mentions."""
    return Theme(f"wording_{column}", text("wording of the {label}", label=label))

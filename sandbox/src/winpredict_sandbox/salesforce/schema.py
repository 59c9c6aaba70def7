"""The objects of the Salesforce stand-in: their fields, and what ``describe`` tells of them."""

from collections.abc import Mapping
from typing import Any

_MADE = "CreatedDate:datetime"
_KEPT = "IsDeleted:boolean CreatedDate:datetime LastModifiedDate:datetime SystemModstamp:datetime"
#: Field and type; system fields are filled by the server.
_FIELDS = {
    "Opportunity": "Id:id AccountId:reference OwnerId:reference Name:string StageName:picklist Amount:currency "
    "Probability:percent CloseDate:date Type:picklist LeadSource:picklist Description:textarea "
    "ForecastCategoryName:picklist IsClosed:boolean IsWon:boolean Product_Family__c:picklist Region__c:picklist "
    f"Competitor__c:picklist Campaign_Code__c:string Loss_Reason__c:picklist Contract_Signed__c:datetime {_KEPT}",
    "OpportunityHistory": "Id:id OpportunityId:reference StageName:picklist Amount:currency Probability:percent "
    "CloseDate:date ForecastCategory:picklist CreatedById:reference IsDeleted:boolean CreatedDate:datetime "
    "SystemModstamp:datetime",
    "OpportunityFieldHistory": "Id:id OpportunityId:reference Field:picklist DataType:picklist OldValue:anyType "
    f"NewValue:anyType CreatedById:reference IsDeleted:boolean {_MADE}",
    "OpportunityTeamMember": "Id:id OpportunityId:reference UserId:reference TeamMemberRole:picklist PhotoUrl:url "
    + _KEPT,
    "OpportunityContactRole": f"Id:id OpportunityId:reference ContactId:reference Role:picklist {_KEPT}",
    "OpportunityLineItem": "Id:id OpportunityId:reference Product2Id:reference Quantity:double UnitPrice:currency "
    "ListPrice:currency TotalPrice:currency "
    f"Description:string {_KEPT}",
    "Task": "Id:id WhatId:reference WhoId:reference OwnerId:reference Subject:string Description:textarea "
    "TaskSubtype:picklist CallType:picklist CallDurationInSeconds:int CallDisposition:string CallObject:string "
    f"Status:picklist ActivityDate:date CompletedDateTime:datetime {_KEPT}",
    "Event": "Id:id WhatId:reference WhoId:reference OwnerId:reference Subject:string Description:textarea "
    f"ActivityDate:date StartDateTime:datetime DurationInMinutes:int {_KEPT}",
    "VoiceCall": "Id:id ActivityId:reference RelatedRecordId:reference UserId:reference OwnerId:reference "
    "VendorCallKey:string CallType:picklist CallDisposition:string CallDurationInSeconds:int FromPhoneNumber:phone "
    "ToPhoneNumber:phone CallStartDateTime:datetime CallAcceptDateTime:datetime CallEndDateTime:datetime " + _KEPT,
    "Account": "Id:id Name:string Industry:picklist NumberOfEmployees:int Phone:phone Website:url "
    f"Description:textarea BillingAddress:address MasterRecordId:reference {_KEPT}",
    "User": "Id:id Username:string Name:string Email:email Phone:phone ManagerId:reference Department:string "
    "ProfileId:reference IsActive:boolean CreatedDate:datetime LastModifiedDate:datetime SystemModstamp:datetime",
    "OpportunityStage": "Id:id ApiName:string MasterLabel:string IsActive:boolean IsClosed:boolean IsWon:boolean "
    "SortOrder:int DefaultProbability:percent",
    "Organization": "Id:id Name:string OrganizationType:string IsSandbox:boolean",
    "PermissionSet": "Id:id Name:string IsOwnedByProfile:boolean ProfileId:reference",
    "FieldDefinition": "QualifiedApiName:string EntityDefinition.QualifiedApiName:string IsFieldHistoryTracked:boolean",
}
#: Objects that a data export has.
EXPORTED = tuple(_FIELDS)[:11]
#: Objects whose rows go with a deal that is deleted, by the field that names it.
OF_DEALS = {
    "OpportunityHistory": "OpportunityId",
    "OpportunityFieldHistory": "OpportunityId",
    "OpportunityTeamMember": "OpportunityId",
    "OpportunityContactRole": "OpportunityId",
    "OpportunityLineItem": "OpportunityId",
    "Task": "WhatId",
    "Event": "WhatId",
}
#: Objects whose rows leave nothing behind when they are deleted themselves.
WITHOUT_BIN = ("OpportunityTeamMember",)
STAMPS = ("CreatedDate", "LastModifiedDate", "SystemModstamp")
_READ_ONLY = ("Id", "IsDeleted", "IsClosed", "IsWon", *STAMPS)
_UNFILTERED = ("textarea", "anyType", "address", "base64")
_HISTORIES = ("OpportunityHistory", "OpportunityFieldHistory")
_LENGTHS = {"string": 255, "picklist": 255, "textarea": 32_000, "url": 255, "email": 80, "phone": 40}


def fields_of(name: str) -> dict[str, str]:
    """Type by field."""
    pairs = (each.partition(":") for each in _FIELDS[name].split())
    return {field: kind for field, _, kind in pairs}


def object_names() -> tuple[str, ...]:
    """Objects that can be asked for."""
    return tuple(_FIELDS)


def described(name: str, fields: Mapping[str, str], custom: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What ``sobjects/X/describe`` answers, as far as clients look at it."""
    changes = name not in _HISTORIES
    return {
        "name": name,
        "label": name,
        "custom": False,
        "queryable": True,
        "retrieveable": True,
        "replicateable": name in EXPORTED,
        "updateable": changes,
        "deletable": changes and name != "User",
        "fields": [_field(field, kind, changes, custom.get(field, {})) for field, kind in fields.items()],
    }


def _field(name: str, kind: str, changes: bool, made: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "label": made.get("label", name.removesuffix("__c").replace("_", " ")),
        "type": kind,
        "custom": name.endswith("__c"),
        "filterable": kind not in _UNFILTERED,
        "sortable": kind not in _UNFILTERED,
        "updateable": changes and name not in _READ_ONLY,
        "nillable": name not in _READ_ONLY,
        "calculated": False,
        "length": made.get("length", _LENGTHS.get(kind, 0)),
        "precision": made.get("precision", 18 if kind in ("currency", "percent", "double") else 0),
        "scale": made.get("scale", 2 if kind in ("currency", "percent", "double") else 0),
    }

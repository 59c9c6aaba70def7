"""A stand-in of Salesforce."""

"""Readers of raw tables, one module a kind of file; `winpredict.ingest.files` is the door to all of them."""

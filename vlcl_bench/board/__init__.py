"""The board: tables that are a pure function of records, and the published numbers beside them."""

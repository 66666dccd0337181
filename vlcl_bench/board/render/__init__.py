"""The board as text, for people, spreadsheets and programs, and as a page."""

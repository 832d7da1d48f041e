"""Usage and budgets in the API."""

"""Usage events, history, charts and export."""

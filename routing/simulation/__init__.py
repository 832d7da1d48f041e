"""Simulated agent sessions, to compare rules for when a session changes its model. Pure."""

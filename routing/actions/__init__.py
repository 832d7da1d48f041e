"""Writes of routing: policies, decisions."""

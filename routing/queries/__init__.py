"""Reads of routing: policies, decisions."""

"""Proof of the choices: what routing would have achieved on results that it has not seen.

Everything here is pure but for `scratch`, which publishes a table in a database of its own.
"""

"""Policies, the classifier, the decision engine, sessions and decisions."""

"""Rebuilds the classifier's weights from the corpus."""

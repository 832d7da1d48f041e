"""Small helpers without models that several apps need. Imports no app."""

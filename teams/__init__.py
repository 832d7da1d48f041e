"""Who may do what: users, teams, memberships, projects, API keys, the audit trail."""

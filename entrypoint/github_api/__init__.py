"""Use GitHub's REST API for commits, statuses and deployments."""

"""Pictures of policies and of runs: films, the live environment, figures."""

"""Physics of robots on MJX: models, integrators, contacts with a floor, randomisation."""

"""Robots that imitate motion clips (Peng et al. 2019, section 5.3; Peng et al. 2018, "DeepMimic")."""

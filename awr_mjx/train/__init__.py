"""The programs: the only place with files, flags, clocks and screens."""

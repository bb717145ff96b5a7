"""What is refused of clips and robots; here, because programs that know these words need not import MuJoCo."""


class BadClip(ValueError):
    """A clip that cannot be used; the message is one line that says why."""


class BadCharacter(ValueError):
    """A robot that cannot imitate; the message is one line that says why."""

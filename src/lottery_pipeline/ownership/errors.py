"""The error of everything about ownership."""


class OwnershipError(ValueError):
    """A key, a credential, a suspect or a request that cannot be used; one sentence says why."""


class NoRoomError(OwnershipError):
    """A mask that cannot hold the mark."""

"""The error of this room and of all that works on tickets."""


class TicketError(ValueError):
    """A ticket, a ladder, or what is to be done with one, is at fault; one sentence says how."""

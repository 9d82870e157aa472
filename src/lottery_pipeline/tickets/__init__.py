"""Tickets: how they are found, one file per method, and what is then done with them.

Every method is a pure function (images, dense run, ...) -> ``Extraction``; every score is "higher = keep".
"""

from lottery_pipeline.tickets.extraction import Extraction
from lottery_pipeline.tickets.imp import extract_lth, extract_ltr
from lottery_pipeline.tickets.ladder import Ladder
from lottery_pipeline.tickets.ticket import Ticket, TicketError

METHODS = {"lth": extract_lth, "ltr": extract_ltr}

__all__ = ["METHODS", "Extraction", "Ladder", "Ticket", "TicketError", "extract_lth", "extract_ltr"]

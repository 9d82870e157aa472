"""SuperTickets' network: a supernet whose blocks, kernels, channels and tokens can be removed.

arXiv 2207.03677 (SuperTickets) searches in the space of arXiv 2106.06560 (HR-NAS).
"""

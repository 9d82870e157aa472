"""How a network stands up to bad images: attacks, corruptions, strangers, and how sure it is of itself."""

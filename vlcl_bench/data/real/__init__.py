"""Real data sets: official folder layouts, hub copies, and what the protocols expect of them."""

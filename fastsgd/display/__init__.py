"""How far work is and small tables, on a terminal, in a notebook, in HTML. It measures and decides nothing."""

"""Progress bars and small tables, on a terminal, in a notebook, as HTML. It measures and decides nothing."""

"""The order of the programs of a gallery: tutorials as they build on each other, others by name."""
TUTORIALS = ("downhill", "first_table", "from_scikit_learn", "from_pytorch", "overnight", "serving",
             "larger_than_memory", "many_machines")


class Order:
    """A key to sort file names by, made by sphinx-gallery for a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __repr__(self):
        return type(self).__name__

    def __call__(self, filename):
        name = filename.removesuffix(".py")
        return TUTORIALS.index(name) if name in TUTORIALS else name

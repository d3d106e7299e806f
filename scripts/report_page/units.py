"""Units of axes: the only scaling that is done here."""

KIB = 1024


class Unit:
    def __init__(self, scale, name, decimals):
        self.scale, self.name, self.decimals = scale, name, decimals

    def for_parts(self, largest):
        """The same unit, with the decimals that the largest of some parts calls for."""
        return Unit(self.scale, self.name, _decimals(largest / self.scale))

    def text(self, value):
        digits = f"{abs(value) / self.scale:.{self.decimals}f}"
        return ("−" if value < 0 and digits.strip("0.") else "") + digits


def _decimals(size):
    return 0 if size >= 100 else 1 if size >= 10 else 2


def _unit(largest, steps):
    for scale, name in steps:
        if largest >= scale:
            return Unit(scale, name, _decimals(largest / scale))
    return Unit(1, steps[-1][1], 0)


def bytes_unit(largest):
    return _unit(largest, [(KIB**3, "GiB"), (KIB**2, "MiB"), (KIB, "KiB"), (1, "B")])


def time_unit(largest_ns):
    return _unit(largest_ns, [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")])


def tokens_unit(largest):
    return _unit(largest, [(1e6, "million tokens"), (1e3, "thousand tokens"), (1, "tokens")])

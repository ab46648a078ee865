"""Colours that survive colour blindness, each with a second sign: pattern, marker or dash.

Source: Okabe & Ito, "Color Universal Design" (2008).
"""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
PATTERNS = ("", "/", "x", ".")
SYMBOLS = ("circle", "diamond", "square", "cross")
DASHES = ("solid", "dash", "dot", "dashdot")
BASELINE = "#8C8C8C"  # readable on white and on the dark theme's background
BASELINE_BAR = {
    "color": BASELINE,
    "pattern": {
        "shape": "\\",
        "size": 6,
        "solidity": 0.25,
        "fillmode": "overlay",
        "fgcolor": "#ffffff",
    },
}


def colour(index: int) -> str:
    """Return the colour of series number `index`; it repeats after four."""
    return COLOURS[index % len(COLOURS)]


def behind_white_text(index: int) -> str:
    """Return the colour of series `index`, dark enough to carry white text (contrast 4.5 to 1)."""
    return ("#0072B2", "#A84B00", "#00795A", "#9C4A77")[index % len(COLOURS)]


def pattern(index: int) -> str:
    """Return the fill pattern of series `index`."""
    return PATTERNS[(index + index // len(COLOURS)) % len(PATTERNS)]


def symbol(index: int) -> str:
    """Return the marker of series `index`; the fifth series repeats a colour, not the pair."""
    return SYMBOLS[(index + index // len(COLOURS)) % len(SYMBOLS)]


def dash(index: int) -> str:
    """Return the line style of series `index`."""
    return DASHES[(index + index // len(COLOURS)) % len(DASHES)]

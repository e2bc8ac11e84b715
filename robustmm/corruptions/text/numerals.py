"""English numerals."""

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"), (10**2, "hundred"))
SPELLING_LIMIT = 10**12
"""Numbers from here on are read out digit by digit."""


def spell_number(number: int) -> str:
    """A whole number below `SPELLING_LIMIT` in English words."""
    for size, name in SCALES:
        if number >= size:
            count, rest = divmod(number, size)
            return f"{spell_number(count)} {name}" + (f" {spell_number(rest)}" if rest else "")
    if number < len(ONES):
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens] + (f"-{ONES[ones]}" if ones else "")


NUMERALS = {spell_number(number): str(number) for number in range(100)}

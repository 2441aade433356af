"""Numbers in a prompt, as one text however they are written. Pure.

Two ways to write a number that are not known to be the same count as two numbers: "1.000" is one
or a thousand.
"""

import re

_NUMBER = re.compile(
    r"(?P<sign>[-+\u00b1]?)(?P<currency>[$\u20ac\u00a3\u00a5]?)(?P<digits>\d[\d.,']*)"
    r"(?P<rest>%|-?[^\W\d_]{1,20}|[$\u20ac\u00a3\u00a5]|\u00b0[^\W\d_]?)?"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:[,']\d{3})+(?:\.\d+)?")
_DECIMAL = re.compile(r"\d+(?:[.,]\d+)?")
_UNITS = {"%": "percent", "$": "dollars", "\u20ac": "euros", "\u00a3": "sterling", "\u00a5": "yen"}
_ORDINAL_ENDINGS = ("st", "nd", "rd", "th")

_CARDINALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
    "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {
    # "One" is a pronoun as well; where two is meant instead, the two is seen.
    **{word: str(number) for number, word in enumerate(_CARDINALS.split()) if word != "one"},
    **{word: f"#{number}" for number, word in enumerate(_ORDINALS.split())},
    **{word: str(number * 10) for number, word in enumerate(_TENS.split(), 2)},
    **{"hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000"},
    **{"trillion": "1000000000000", "dozen": "12", "dozens": "12", "couple": "2", "pair": "2"},
    **{"twice": "2", "thrice": "3", "double": "2", "triple": "3", "quadruple": "4"},
    **{
        f"{tens}-{word}": str(number * 10 + ones)
        for number, tens in enumerate(_TENS.split(), 2)
        for ones, word in enumerate(_CARDINALS.split()[1:10], 1)
    },
}
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_ROMAN = re.compile(r"(?=.)C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")


def number_in(text: str) -> tuple[str, str] | None:
    """The number that a word with digits is, and its unit or nothing; None: it is something else.

    An ordinal begins with `#`.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    digits, rest = found["digits"].rstrip(".,'"), (found["rest"] or "").lstrip("-")
    if _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "").replace("'", "")
    elif not _DECIMAL.fullmatch(digits):
        return None
    digits = digits.replace(",", ".")
    if rest.lower() in _ORDINAL_ENDINGS:
        return f"#{digits}", ""
    sign = "" if found["sign"] == "+" else found["sign"]
    unit = found["currency"] or rest
    return sign + digits, _UNITS.get(unit, unit)


def number_of_word(word: str) -> str | None:
    """The number that a word in lower case is."""
    return _WORDS.get(word)


def roman(word: str) -> str | None:
    """The number that a word in capitals is; I, C and L alone are letters."""
    if word in ("I", "C", "L") or not _ROMAN.fullmatch(word):
        return None
    values = [_ROMAN_VALUES[each] for each in word]
    behind = [*values[1:], 0]
    return str(
        sum(-one if one < next_one else one for one, next_one in zip(values, behind, strict=True))
    )

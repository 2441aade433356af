"""Whole numbers from 0 on in as few bytes as they need: seven bits each, the lowest first."""


def encode(number: int) -> bytes:
    """One number."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode(body: bytes) -> list[int]:
    """All numbers of a text of them. Raises ValueError where the last one is cut off."""
    numbers, current, shift = [], 0, 0
    for byte in body:
        current |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(current)
            current = shift = 0
    if shift:
        raise ValueError("cut in the middle of a number")
    return numbers

"""Names of strangers, hosts say, as parts of names of files and of members of a group. Pure."""

import re

_OTHER_SIGNS = re.compile(r"[^A-Za-z0-9._-]")


def plain_name(text: str, *, most: int = 200) -> str:
    """The text in signs that Kafka and file systems take in any name, `most` of them."""
    return _OTHER_SIGNS.sub("-", text)[:most]

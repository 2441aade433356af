"""Job ids of a run: its own id and the line's custom_id, so that a re-run knows its jobs."""

import hashlib
from urllib.parse import quote

#: What a job id may have, less what a run id and the colon take.
_LONGEST = 200
#: Printable ASCII that ids of real files use; the rest, `%` included, is percent-encoded.
_PLAIN = "!#$&'()*+,-./:;=?@[]^_`{|}~"


def job_id(run_id: str, custom_id: str) -> str:
    """Different for different custom ids: encoded where it must be, hashed where too long."""
    encoded = quote(custom_id, safe=_PLAIN)
    if len(encoded) > _LONGEST:
        digest = hashlib.sha256(custom_id.encode()).hexdigest()
        # `%%` cannot come from encoding, so no other custom_id reads like this one.
        encoded = f"{encoded[:100]}%%{digest}"
    return f"{run_id}:{encoded}"

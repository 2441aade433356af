"""The page that a proxy in front of any provider answers with."""

from tollway_workers.local.simulator.wire.dialect import SaidError


def html_error(status: int) -> SaidError:
    """An error that is no JSON."""
    page = f"<html><body><h1>{status}</h1><p>Internal Server Error</p></body></html>"
    return SaidError(status=status, body=page.encode(), content_type="text/html")

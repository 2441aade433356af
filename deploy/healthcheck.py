#!/usr/bin/env python3
"""Ends with 0 if this container answers 200 at a port and path: `healthcheck 9464/readyz`."""

import sys
from http.client import HTTPConnection, HTTPException

port, _, path = sys.argv[1].partition("/")
connection = HTTPConnection("127.0.0.1", int(port), timeout=3)
try:
    connection.request("GET", f"/{path}")
    answer = connection.getresponse()
    why = answer.read(200).decode("utf-8", "replace").strip()
except (OSError, HTTPException) as error:
    sys.exit(f"port {port} does not answer: {error}")
if answer.status != 200:
    sys.exit(f"{answer.status}: {why}")

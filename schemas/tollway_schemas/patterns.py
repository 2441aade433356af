"""How names are written, each with the words for those who write one otherwise."""

JOB_ID = r"^[\x21-\x7e]+$"
ROUTE_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
TOPIC_NAME = r"^[A-Za-z0-9._-]{1,249}$"
SCHEMA_NAME = r"^[A-Za-z0-9_-]{1,64}$"

WORDS = {
    JOB_ID: "must be printable ASCII without spaces",
    ROUTE_NAME: "must be lower-case letters, digits and hyphens, at most 63, no hyphen first",
    TOPIC_NAME: "must be letters, digits, dots, hyphens and underscores, at most 249",
    SCHEMA_NAME: "must be letters, digits, hyphens and underscores, at most 64",
}

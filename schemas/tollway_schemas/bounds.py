"""What all records are bound to: their version, and the largest numbers in them."""

#: Major version of everything we write; readers refuse a newer one (see codec.py).
SCHEMA_VERSION = 1

#: The largest number that counts something: what Kafka and other languages take.
MOST = 2**31 - 1
#: Kafka counts offsets with 64 bits.
MOST_OFFSET = 2**63 - 1

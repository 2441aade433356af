"""From what Kafka answers to a fetch to records, whatever bytes stand there.

aiokafka's own reader raises on a record that it cannot read, does not move on, and raises again at
every start; and it unpacks a batch whatever that grows to. Here each batch and each record is
judged alone: what cannot be read is a record too, which says why, and what is behind it is read.
"""

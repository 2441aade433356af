"""A partition, named as Kafka names it."""

#: A topic and the number of one of its partitions.
Partition = tuple[str, int]

"""LLM jobs on Kafka, from a service's side: enqueue jobs, get validated answers."""

from tollway.blocking import BlockingJobProducer
from tollway.connection import KafkaConnection, Security
from tollway.dead_letters import DeadLetters
from tollway.errors import JobFailed, ProducerError, ReplyTimeout
from tollway.handle import JobHandle
from tollway.new_job import NewJob
from tollway.producer import JobProducer
from tollway_schemas import ChatRequest, Message, OutputSchema, Priority, Reply

__all__ = [
    "BlockingJobProducer",
    "ChatRequest",
    "DeadLetters",
    "JobFailed",
    "JobHandle",
    "JobProducer",
    "KafkaConnection",
    "Message",
    "NewJob",
    "OutputSchema",
    "Priority",
    "ProducerError",
    "Reply",
    "ReplyTimeout",
    "Security",
]

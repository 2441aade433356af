"""What travels on Tollway's topics: LLM jobs on Kafka. Data only: no I/O, no clock."""

from tollway_schemas.attempt import Attempt, Billed, JournalRecord
from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.dead_letter import BadAnswer, DeadLetter, Origin, StoredElsewhere
from tollway_schemas.errors import (
    InvalidValue,
    SchemaError,
    TollwayError,
    UndecodableRecord,
    UnsupportedVersion,
)
from tollway_schemas.failure import ErrorScope, Failure, FailureClass
from tollway_schemas.job import Job, Priority, ReplyAddress, Visit
from tollway_schemas.mark import Fate, Mark
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import LetterName
from tollway_schemas.reply import Answer, Reply
from tollway_schemas.request import (
    ChatRequest,
    ImagePart,
    ImageUrl,
    Message,
    OtherPart,
    OutputSchema,
    TextPart,
    Tool,
    ToolCall,
)
from tollway_schemas.topics import DEFAULT_PREFIX, TopicNames
from tollway_schemas.usage import PICO_PER_USD, Usage

__all__ = [
    "DEFAULT_PREFIX",
    "PICO_PER_USD",
    "SCHEMA_VERSION",
    "Answer",
    "Attempt",
    "BadAnswer",
    "Billed",
    "ChatRequest",
    "DeadLetter",
    "ErrorScope",
    "Failure",
    "FailureClass",
    "Fate",
    "ImagePart",
    "ImageUrl",
    "InvalidValue",
    "Job",
    "JournalRecord",
    "LetterName",
    "Mark",
    "Message",
    "Origin",
    "OtherPart",
    "OutputSchema",
    "Priority",
    "Provenance",
    "Reply",
    "ReplyAddress",
    "SchemaError",
    "StoredElsewhere",
    "TextPart",
    "TollwayError",
    "Tool",
    "ToolCall",
    "TopicNames",
    "UndecodableRecord",
    "UnsupportedVersion",
    "Usage",
    "Visit",
]

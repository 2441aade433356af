"""The JSON Schemas of our records, for services in other languages.

`python -m tollway_schemas.export FOLDER` writes them; a test holds `schemas/json/` to the models.
"""

import json
import sys
from pathlib import Path

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from tollway_schemas.attempt import JournalRecord
from tollway_schemas.cache import CacheEntry, Forget
from tollway_schemas.command import Command
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.descriptions import descriptions
from tollway_schemas.heartbeat import Heartbeat
from tollway_schemas.history import JobHistory
from tollway_schemas.job import Job
from tollway_schemas.ledger import LedgerClosing, LedgerEntry, LedgerPresence, LedgerSum
from tollway_schemas.mark import Mark
from tollway_schemas.model import Record
from tollway_schemas.reply import Reply
from tollway_schemas.semantic import Observations

RECORDS: dict[str, type[Record]] = {
    "job": Job,
    "reply": Reply,
    "dead-letter": DeadLetter,
    "mark": Mark,
    "journal-record": JournalRecord,
    "job-history": JobHistory,
    "cache-entry": CacheEntry,
    "cache-forget": Forget,
    "cache-observations": Observations,
    "command": Command,
    "heartbeat": Heartbeat,
    "ledger-entry": LedgerEntry,
    "ledger-closing": LedgerClosing,
    "ledger-sum": LedgerSum,
    "ledger-presence": LedgerPresence,
}


class _Described(GenerateJsonSchema):
    """With what the source says of each field."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        for name, text in descriptions(schema["cls"]).items():
            made["properties"][name].setdefault("description", text)
        return made


def schema_files() -> dict[str, str]:
    """File name to content."""
    files = {}
    for name, model in RECORDS.items():
        schema = model.model_json_schema(mode="validation", schema_generator=_Described)
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        files[f"{name}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return files


def write(folder: Path) -> None:
    """Write all schema files into `folder`, which is made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))

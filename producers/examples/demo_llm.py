"""`make demo-llm`: 40 real jobs through a real Kafka, answered by a small real model.

Each job shows the model one short definition of this Python's own standard library and asks what it
is for, held to a JSON Schema. The model (Gemma 3 270M, base, 4-bit) runs on this machine behind
llama.cpp's OpenAI-compatible server: no key, no network. It was never taught to follow
instructions, so it is shown examples; it is small, so its answers are valid rather than clever.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema_rs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tollway_workers.errors import FleetError
from tollway_workers.local.llm import LocalLLM, ModelOptions

HERE = Path(__file__).parent
FOLDER = Path(".demo") / "llm"
JOBS = 40
#: Calls in flight: one for each slot of the server.
CONCURRENCY = 4
#: Definitions of which the shortest are taken: a small model reads slowly.
SAMPLE = 120

#: Small answers: every token is paid in time.
SCHEMA = {
    "type": "object",
    "properties": {
        "purpose": {"type": "string", "minLength": 8, "maxLength": 72},
        "kind": {
            "enum": [
                *("text", "numbers", "time", "collections", "files", "network"),
                *("processes", "security", "language", "testing"),
            ]
        },
    },
    "required": ["purpose", "kind"],
    "additionalProperties": False,
}

EXAMPLES = """\
Python definitions, each with a summary in JSON.

# statistics
def median(data):
    \"\"\"Return the median (middle value) of numeric data.\"\"\"
JSON:
{"purpose":"compute the middle value of the data","kind":"numbers"}

# shutil
def move(src, dst):
    \"\"\"Recursively move a file or directory to another location.\"\"\"
JSON:
{"purpose":"move a file or folder to another place","kind":"files"}

# http.client
class HTTPConnection:
    def getheader(self, name, default=None):
        \"\"\"Returns the value of the header matching *name*.\"\"\"
JSON:
{"purpose":"read one header of an HTTP response","kind":"network"}

# multiprocessing.pool
class Pool:
    def terminate(self):
        \"\"\"Stop the worker processes immediately.\"\"\"
JSON:
{"purpose":"stop the workers of a pool at once","kind":"processes"}

# textwrap
def dedent(text):
    \"\"\"Remove any common leading whitespace from every line in `text`.\"\"\"
JSON:
{"purpose":"remove common indentation from lines","kind":"text"}

# heapq
def heappop(heap):
    \"\"\"Pop the smallest item off the heap.\"\"\"
JSON:
{"purpose":"take the smallest item from a heap","kind":"collections"}
"""

FLEET = """
[providers.local-llm]
base_url = "{base_url}"
call_timeout = 300

[lanes.small]
provider = "local-llm"
model = "{model}"
concurrency = {concurrency}

[routes.describe]
lanes = ["small"]
"""


def main() -> int:
    """Run the jobs, print the answers. Exit 0 if every job has a valid one, 2 if it cannot run."""
    console = Console()
    console.print(
        f"{JOBS} jobs from Python's own docstrings, through a real Kafka, answered on this machine "
        "by a real model of 270 million parameters"
    )
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    jobs, out, config = FOLDER / "jobs.jsonl", FOLDER / "results.jsonl", FOLDER / "tollway.toml"
    jobs.write_text("".join(json.dumps(job) + "\n" for job in make_jobs()))
    try:
        with LocalLLM(ModelOptions(slots=CONCURRENCY)) as llm:
            fleet = FLEET.format(base_url=llm.base_url, model=llm.model, concurrency=CONCURRENCY)
            config.write_text(fleet)
            began = time.monotonic()
            status = tollway_run(jobs, out, config)
            seconds = time.monotonic() - began
    except FleetError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        return 130
    if not out.exists():
        return status
    return report(console, [json.loads(line) for line in out.read_text().splitlines()], seconds)


def make_jobs() -> list[dict[str, Any]]:
    """The shortest of the definitions that `make demo` asks for, as jobs of this demo."""
    full, answers = FOLDER / "full.jsonl", FOLDER / "answers.jsonl"
    generate = [sys.executable, str(HERE / "docstring_jobs.py"), "--count", str(SAMPLE)]
    subprocess.run(
        [*generate, "--jobs", str(full), "--answers", str(answers)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    lines = [json.loads(line) for line in full.read_text().splitlines()]
    outlines = {line["custom_id"]: line["body"]["messages"][-1]["content"] for line in lines}
    short = sorted(outlines, key=lambda custom_id: len(outlines[custom_id]))[:JOBS]
    return [make_job(custom_id, outlines[custom_id]) for custom_id in sorted(short)]


def make_job(custom_id: str, outline: str) -> dict[str, Any]:
    """The job that asks for one definition."""
    answer_format = {"name": "description", "strict": True, "schema": SCHEMA}
    body = {
        "model": "describe",
        "messages": [
            # The same for every job: the server computes it once for each slot.
            {"role": "system", "content": EXAMPLES},
            {"role": "user", "content": f"{outline}\nJSON:"},
        ],
        "temperature": 0,
        "max_completion_tokens": 120,
        "response_format": {"type": "json_schema", "json_schema": answer_format},
    }
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def tollway_run(jobs: Path, out: Path, config: Path) -> int:
    """The whole of Tollway, as its command; its exit status."""
    command = [sys.executable, "-m", "tollway_workers.cli.entry", "run", str(jobs)]
    options = ["-o", str(out), "--config", str(config), "--workers", "1"]
    process = subprocess.Popen([*command, *options])
    try:
        return process.wait()
    except KeyboardInterrupt:
        # It was told as well, and finishes its calls: the model must not end before them.
        process.wait()
        raise


def report(console: Console, lines: list[dict[str, Any]], seconds: float) -> int:
    """Print answers, failures and pace. Exit 0 if every job has an answer that fits the schema."""
    bodies = {each["custom_id"]: each["response"]["body"] for each in lines if each["response"]}
    answers = {
        custom_id: json.loads(body["choices"][0]["message"]["content"])
        for custom_id, body in bodies.items()
    }
    table = Table(title="What the model said (small: valid, not always right)")
    for heading in ("definition", "purpose", "kind"):
        table.add_column(heading, overflow="fold")
    for custom_id, answer in answers.items():
        table.add_row(custom_id, escape(answer["purpose"]), answer["kind"])
    for line in lines:
        if error := line["error"]:
            ending = "dead letter" if line["tollway"]["dead_letter"] else "failed"
            why = f"{error['code']}: {error['message']}"
            table.add_row(line["custom_id"], escape(why), ending, style="red")
    console.print(table)
    valid = sum(map(jsonschema_rs.validator_for(SCHEMA).is_valid, answers.values()))
    usages = [body["usage"] for body in bodies.values()]
    read = sum(usage["prompt_tokens"] for usage in usages)
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    written = sum(usage["completion_tokens"] for usage in usages)
    console.print(
        f"{valid} of {JOBS} answers are valid by their schema\n"
        f"{written:,} tokens written in {seconds:.0f} s, the start of Kafka and worker included: "
        f"{written / seconds:.1f} tokens/s\n{read:,} tokens of prompts, {cached:,} of them cached"
    )
    return 0 if valid == JOBS else 1


if __name__ == "__main__":
    sys.exit(main())

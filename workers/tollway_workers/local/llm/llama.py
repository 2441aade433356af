"""llama.cpp's own server, set up for jobs: this machine only, no pages, no hub, bounded memory."""

from importlib import import_module
from pathlib import Path
from typing import Any

from tollway_workers.errors import LocalError
from tollway_workers.local.llm.options import ModelOptions
from tollway_workers.local.llm.weights import require

HOST = "127.0.0.1"

#: A base model continues text; a template's markers would only be text it has never seen.
PLAIN_TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"

#: llama.cpp's word for: warnings and errors. They hold no prompts.
_WARNINGS = 2


class LlamaServer:
    """A running llama.cpp server inside this process; it ends with the object.

    Raises MissingExtra without xllamacpp, LocalError if the model cannot be served.
    """

    def __init__(self, model: Path, options: ModelOptions) -> None:
        if not model.is_file():
            raise LocalError(f"{model} is no file: name a model in GGUF format")
        require("xllamacpp")
        # By name: type checkers of a set-up without the extra would not find it.
        xllamacpp = import_module("xllamacpp")
        try:
            self._server = xllamacpp.Server(_parameters(xllamacpp, model, options))
        except RuntimeError as error:
            raise LocalError(f"llama.cpp cannot serve {model}") from error

    @property
    def base_url(self) -> str:
        """Where OpenAI's paths begin."""
        return f"{self._server.listening_address}/v1"


def _parameters(xllamacpp: Any, model: Path, options: ModelOptions) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {options.name}
    if options.speaks_plainly:
        parameters.chat_template = PLAIN_TEMPLATE
    parameters.hostnames = [HOST]
    parameters.port = options.port
    parameters.n_parallel = options.slots
    # The slots share it.
    parameters.n_ctx = options.slots * options.context_tokens
    # Jobs of a kind begin with the same text: each slot keeps what it has computed of it. Models
    # with a sliding window keep only the window otherwise, and begin anew.
    parameters.swa_full = True
    # 8 GiB by default, for what the slots let go.
    parameters.cache_ram_mib = 0
    parameters.offline = True
    parameters.verbosity = _WARNINGS
    parameters.ui = False
    parameters.endpoint_slots = False
    # Any page in a browser of this machine may call it otherwise.
    parameters.cors_origins = f"http://{HOST}"
    return parameters

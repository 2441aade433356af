"""A small real model on this machine: llama.cpp's OpenAI-compatible server, no key, no network."""

from tollway_workers.local.llm.model import LocalLLM
from tollway_workers.local.llm.options import ModelOptions

__all__ = ["LocalLLM", "ModelOptions"]

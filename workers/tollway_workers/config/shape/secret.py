"""Secrets by reference: the configuration says where one is, never what it is."""

from typing import Annotated

from pydantic import Field, model_validator

from tollway_workers.config.shape.model import Section


class SecretReference(Section):
    """Where a secret is: exactly one of the three."""

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of an environment variable."""
    file: Annotated[str, Field(min_length=1)] | None = None
    """Path of a file that holds nothing else; a last line break is dropped."""
    command: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None = None
    """A program and its arguments, run without a shell, that prints it within 10 seconds."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretReference":
        given = [name for name in ("env", "file", "command") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError('needs exactly one of env, file and command; write {env = "NAME"}')
        return self

    def __str__(self) -> str:
        if self.env is not None:
            return f"environment variable {self.env}"
        if self.file is not None:
            return f"file {self.file}"
        return f"command {(self.command or ('',))[0]}"

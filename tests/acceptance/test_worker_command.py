"""`tollway worker` as an operator starts it, before it has a Kafka."""

import os
import subprocess
import sys
from pathlib import Path


def test_a_worker_warns_once_of_a_key_file_that_others_may_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    key = tmp_path / "key"
    key.write_text("sk-never-shown-0123456789")
    key.chmod(0o620)
    (tmp_path / "tollway.toml").write_text(
        "[kafka]\nbootstrap_servers = '127.0.0.1:1'\n"
        "[providers.p]\nbase_url = 'https://h/v1'\napi_key = {file = 'key'}\n"
        "[lanes.l]\nprovider = 'p'\nmodel = 'm'\nconcurrency = 2\n"
        "[routes.r]\nlanes = ['l']\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "tollway_workers.cli.entry", "worker"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said = done.stdout + done.stderr
    assert said.count(f"other users may write {key}") == 1
    assert "sk-never-shown" not in said
    assert "cannot use Kafka" in said

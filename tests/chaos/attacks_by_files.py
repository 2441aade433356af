"""What may stand where `tollway run` looks: links, devices, full disks, other people's folders."""

import os
from pathlib import Path

import orjson
from attack import Attack, Reach, only

_RUN = ("--simulate", "--workers", "1")
_LINE = orjson.dumps(
    {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    }
)


def _input(reach: Reach, name: str) -> Path:
    place = reach.folder / name
    place.mkdir(exist_ok=True)
    path = place / "in.jsonl"
    path.write_bytes(_LINE + b"\n")
    return path


async def _refused(reach: Reach, *arguments: str | Path) -> str | None:
    """Status 2, and one sentence."""
    status, said = await reach.command(
        "run", *arguments, *_RUN, "--bootstrap-servers", reach.servers
    )
    if status == 2 and "Traceback" not in said:
        return None
    return f"{[str(each)[-20:] for each in arguments]}: status {status}: {said[-200:]}"


async def _links(reach: Reach) -> str | None:
    """OUT, or what is kept beside it, is IN by another name."""
    given = _input(reach, "links")
    before = given.read_bytes()
    hard, soft, folder = (given.with_name(each) for each in ("hard", "soft", "folder"))
    os.link(given, hard)
    soft.symlink_to("./in.jsonl")
    folder.symlink_to(".")
    wrong = [
        await _refused(reach, given, "--out", out, *fresh)
        for out in (hard, soft, folder / "in.jsonl", Path("/proc/self/cwd/links/in.jsonl"))
        for fresh in ((), ("--fresh",))
    ]
    if given.read_bytes() != before:
        wrong.append("IN was written to")
    return only(wrong)


async def _devices(reach: Reach) -> str | None:
    """IN and OUT that are no files as others are."""
    given = _input(reach, "devices")
    pipe = given.with_name("pipe")
    os.mkfifo(pipe)
    loop = given.with_name("loop")
    loop.symlink_to(loop)
    out = given.with_name("out.jsonl")
    return only(
        [
            *[
                await _refused(reach, source, "--out", out)
                for source in ("/proc/self/mem", "/proc/kmsg", "/dev/zero", given.parent, loop)
            ],
            *[
                await _refused(reach, given, "--out", target)
                for target in ("/dev/full", "/proc/self/status", "/proc/nothing/x", pipe, loop)
            ],
        ]
    )


async def _planted(reach: Reach) -> str | None:
    """Links that wait where drafts are made: they are replaced, or the run is refused."""
    given = _input(reach, "planted")
    victim = given.with_name("victim")
    victim.write_text("mine")
    out = given.with_name("out.jsonl")
    for suffix in (".tollway-new", ".tollway-state.new"):
        given.with_name(out.name + suffix).symlink_to(victim)
    said = await reach.command(
        *("run", given, "--out", out, *_RUN, "--bootstrap-servers", reach.servers)
    )
    wrong = "Traceback" in said[1] or victim.read_text() != "mine"
    return f"{said}; {victim.read_text()[:60]!r}" if wrong else None


ATTACKS = (
    Attack(kind="files", name="OUT is IN by another name", strike=_links),
    Attack(kind="files", name="devices, pipes, loops", strike=_devices),
    Attack(kind="files", name="links where drafts are made", strike=_planted),
)

"""The pages lead where they say: links, anchors, tests and examples that they name are there."""

import re
from pathlib import Path

import pytest

from examples.demo.__main__ import ACTS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith((".", "dist", "build")) for part in page.relative_to(ROOT).parts)
)
MODULES = [
    f"/{module.relative_to(ROOT)}"
    for room in ("schemas", "producers", "workers", "tests", "deploy")
    for module in (ROOT / room).rglob("*.py")
]
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """As the sites that show Markdown make them from headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


def rows_of(page: str) -> list[str]:
    text = (ROOT / page).read_text()
    return [line for line in text.splitlines() if re.match(r"\| .*\[`test_", line)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = _LINK.findall(_CODE.sub("", page.read_text()))

    assert [link for link in links if "://" not in link and leads_nowhere(page, link)] == []


@pytest.mark.parametrize("page", ["README.md", "docs/guarantees.md"])
def test_every_test_that_a_guarantee_names_is_there(page: str) -> None:
    rows = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", (ROOT / page).read_text())

    assert len(rows) >= 5
    for name, file in rows:
        assert f"def {name}(" in ((ROOT / page).parent / file).read_text(), (name, file)


#: Files that are to come, or were there once, and the page that says so.
_NOT_HERE = {
    ("docs/decisions/0011-limits-divided-by-share.md", "config/share.py"),
    ("docs/decisions/0011-limits-divided-by-share.md", "policies/bucket.py"),
}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_module_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(r"`((?:[\w.-]+/)*\w+\.py)`", page.read_text()))

    gone = {each for each in named if not any(path.endswith(f"/{each}") for path in MODULES)}
    assert {each for each in gone if (name_of(page), each) not in _NOT_HERE} == set()


def test_the_readme_has_five_guarantees_and_all_are_on_their_page() -> None:
    five = [row.partition(" | ")[0] for row in rows_of("README.md")]
    every = [row.partition(" | ")[0] for row in rows_of("docs/guarantees.md")]

    assert len(five) == 5
    assert set(five) <= set(every)
    assert len(every) > 35


def test_the_readme_shows_the_example_that_is_run() -> None:
    example = (ROOT / "producers/examples/twelve_lines.py").read_text().split('"""', 2)[2].strip()

    assert example in (ROOT / "README.md").read_text()


def test_the_first_screen_says_what_it_is_why_no_script_how_to_try_it_and_what_it_costs() -> None:
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])

    for part in ("What it saves you from", "Why not a script?", "make demo", "What does it cost"):
        assert part in screen


def test_the_readme_s_table_has_the_rows_of_the_demo() -> None:
    readme = (ROOT / "README.md").read_text()

    for row in (row for act in ACTS for row in act().rows):
        assert f"│ {row.name} " in readme

# SPDX-License-Identifier: Apache-2.0
"""The documents against the tree: links and paths lead somewhere, lists are complete."""
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
# A path of a source file in backquotes: `datapath/kernel/pins.h`.
PATH = re.compile(r"`((?:base|packet|netlink|ovsdb|datapath|ofproto-lite|vswitchd|cli|tests|tools|bench|docs|cmake)/[\w./-]+)`")


def name(page):
    return str(page.relative_to(ROOT))


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text()
    for link in LINK.findall(text):
        if re.match(r"\w+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
    if "adr" in page.parts or page.name == "CHANGELOG.md":  # these tell of another time
        return
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    known = set(tracked) | {str(parent) for path in tracked for parent in pathlib.PurePath(path).parents}
    missing = [p for p in PATH.findall(text) if p.rstrip("/") not in known]
    assert not missing


def test_the_readme_names_each_page_once():
    links = LINK.findall((ROOT / "README.md").read_text().split("## Read on")[1])
    pages = [link for link in links if link.endswith(".md")]
    assert sorted(pages) == sorted(set(pages))
    assert set(pages) == {name(p) for p in PAGES if "adr" not in p.parts and p.name != "README.md"}


def test_sizes_are_as_written():
    shown = subprocess.run([ROOT / "tools/class-sizes", "--table"], capture_output=True, text=True, check=True).stdout
    written = (ROOT / "docs/architecture.md").read_text().split("<!-- sizes -->\n")[1].split("<!-- end of sizes -->")[0]
    assert written == shown, "put the output of tools/class-sizes --table into docs/architecture.md"


def test_drop_names_are_listed():
    listed = re.findall(r'^  X\((\w+), "(.*?)"\)', (ROOT / "base/drop_list.h").read_text(), re.M)
    section = (ROOT / "docs/operations.md").read_text().split("## Drop names")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.M)
    assert [row[0] for row in rows] == [drop[0] for drop in listed]
    for (drop, text), (_, meaning) in zip(listed, rows):
        assert meaning.startswith(text), drop


def test_decisions_are_numbered():
    for number, page in enumerate(sorted((ROOT / "docs/adr").glob("*.md")), 1):
        assert page.name.startswith(f"{number:04}-")
        assert page.read_text().startswith(f"# {number}. ")

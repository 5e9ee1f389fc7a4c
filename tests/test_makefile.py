"""The Makefile's help: every word that can be made, and what it does."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
HELP = subprocess.run(
    ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()
TOLD = dict(re.fullmatch(r"make (\S+) +(\S.*)", line).groups() for line in HELP)


def words():
    """Every target that is a word, and no file."""
    targets = re.findall(r"^([a-z.][\w.-]*):(?!=)", MAKEFILE, re.MULTILINE)
    return {target for target in targets if target != ".PHONY"}


def test_help_lists_every_word():
    assert set(TOLD) == words()


def test_every_word_is_phony():
    named = re.findall(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE)
    assert {word for line in named for word in line.split()} == words()


def test_the_readmes_words_exist():
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, re.MULTILINE)) <= words()

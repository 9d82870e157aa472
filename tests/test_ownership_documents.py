"""The page on ownership: its table is that of the code, and its lines for other programs work."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lottery_pipeline.ownership import verify
from lottery_pipeline.ownership.attacks import ATTACKS, CLAIM_TRIALS
from lottery_pipeline.ownership.release import RELEASE_FILES, write_release
from lottery_pipeline.ownership.time_stamp import request_stamp
from tests.kedro_project import ROOT
from tests.ownership.authority import serve
from tests.ownership.owners import TICKET, make_published

TEXT = (ROOT / "docs" / "ownership.md").read_text(encoding="utf-8")
OPENSSL, FOLDER_SIGNING = (
    block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
)
SIGNED, FOUND, SAME, STAMPED = "Signature Verified Successfully", "1", "", "Verification: OK"
EXPECTED = [SIGNED, SIGNED, FOUND, FOUND, SAME, SAME, STAMPED, STAMPED]


def section(heading: str) -> str:
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """Return the cells of every row but the head, of all tables in a text."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    rules = [place for place, cells in enumerate(lines) if cells[0].startswith("---")]
    heads = {place - 1 for place in rules}
    return [
        [cell.strip() for cell in cells]
        for place, cells in enumerate(lines)
        if place not in rules and place not in heads
    ]


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def stamped(tmp_path_factory):
    """A credential with log and stamps, and the certificate of the authority."""
    with pytest.MonkeyPatch.context() as patch, serve(tmp_path_factory.mktemp("authority")) as authority:
        patch.setenv("no_proxy", "127.0.0.1")
        bundle = make_published()
        tokens = {
            f"{part}_token": request_stamp(envelope.stamped, authority.url, timeout=20)
            for part, envelope in (
                ("commitment", bundle.commitment_envelope),
                ("release", bundle.release_envelope),
            )
        }
        return replace(bundle, **tokens), authority.root.read_bytes()


@pytest.fixture
def folder(tmp_path, stamped):
    bundle, root = stamped
    write_release(tmp_path / "release", TICKET, bundle)
    (tmp_path / "release" / "ROOT.pem").write_bytes(root)
    return tmp_path / "release"


def test_the_table_of_attacks_is_that_of_the_code():
    rows = {cells[0]: cells[1:] for cells in table(section("Attacks"))}
    assert list(rows) == [f"A{number}" for number in range(32)]
    both = [*ATTACKS.values(), *CLAIM_TRIALS.values()]
    assert rows == {one.id: [one.name, one.sentence, one.pledge, one.promise] for one in both}


def test_the_table_of_files_lists_a_release():
    files = [cells[0] for cells in table(section("You own a ticket"))]
    assert sorted(re.findall(r"`([\w.]+)`", " ".join(files))) == sorted(RELEASE_FILES)


def test_the_verdicts_and_levels_are_those_of_the_code():
    text = section("You got a model and a release folder")
    verdicts = [cells[0].strip("`") for cells in table(text)]
    assert verdicts == [verify.OWNED, verify.AUTHENTIC, verify.NOT_SHOWN, verify.REFUSED]
    levels = re.search(r"\*\*Two levels\.\*\* (\d+) bits .*?Otherwise (\d+) bits", text, re.DOTALL)
    assert levels is not None
    assert [int(level) for level in levels.groups()] == [verify.LEAST_STAMPED, verify.LEAST_UNSTAMPED]


def test_every_line_for_openssl_says_what_the_page_promises(folder):
    answers = [shell(line, folder) for line in OPENSSL]
    assert [(answer.returncode, answer.stdout.strip()) for answer in answers] == [
        (0, says) for says in EXPECTED
    ]


@pytest.mark.parametrize(
    ("name", "noticed"),
    [
        ("ticket.safetensors", {3}),
        ("commitment.pae", {1, 4, 5}),
        ("commitment.sig", {1, 5}),
        ("release.pae", {2, 6}),
        ("release.sig", {2, 6}),
        ("commitment.stamped", {5, 7}),
        ("release.stamped", {6, 8}),
    ],
)
def test_the_lines_for_openssl_notice_a_changed_byte(folder, name, noticed):
    content = bytearray((folder / name).read_bytes())
    content[-4] ^= 1  # within the last brackets of a statement
    (folder / name).write_bytes(content)
    answers = [shell(line, folder) for line in OPENSSL]
    assert {number for number, answer in enumerate(answers, start=1) if answer.returncode} == noticed


def test_the_lines_for_model_signing_sign_the_folder_and_notice_a_changed_byte(folder):
    for line in FOLDER_SIGNING:
        answer = shell(line, folder.parent)
        assert answer.returncode == 0, answer.stderr
    (folder / "release.sig").write_bytes(bytes(64))
    assert shell(FOLDER_SIGNING[-1], folder.parent).returncode != 0

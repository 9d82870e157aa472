import pytest

from lottery_pipeline.reporting.ownership_section import describe_attacks, describe_ownership
from tests.reporting.ownership_records import make_signature, make_try, make_verification

UNSIGNED = {"metrics": {"test_accuracy": 0.975, "ticket": "4" * 64}}


def describe(**changes):
    results = {
        "ltr": UNSIGNED,
        "signature_embedding": make_signature(),
        "ownership_verification": make_verification(),
    }
    return describe_ownership(results | changes)


def facts(section):
    return {name: (text, note) for name, text, note in section["facts"]}


def test_without_a_signature_there_is_nothing_to_say():
    assert describe_ownership({"ltr": UNSIGNED}) is None


def test_the_verdict_is_the_sentence_of_the_verification():
    sentence = "The suspect was made from the ticket of Ada Example: 429 bits of evidence."
    assert describe()["verdict"] == {"sentence": sentence, "tone": "good"}


@pytest.mark.parametrize(
    ("verdict", "tone"),
    [("owned", "good"), ("authentic release", "good"), ("not shown", "even"), ("refused", "bad")],
)
def test_a_verdict_has_its_tone(verdict, tone):
    section = describe(ownership_verification=make_verification(verdict=verdict))
    assert section["verdict"]["tone"] == tone


@pytest.mark.parametrize(
    ("verdict", "says", "tone"),
    [("owned", "carries the mark", "good"), ("authentic release", "does not show the mark", "bad")],
)
def test_a_signature_that_was_not_verified_says_what_was_read_back(verdict, says, tone):
    section = describe_ownership({"signature_embedding": make_signature(verdict=verdict)})
    sentence = f"Read back after training, the ticket {says} of Ada Example: 430 bits of evidence."
    assert section["verdict"] == {"sentence": sentence, "tone": tone}
    assert section["checks"] == []
    assert facts(section)["Owner"] == ("Ada Example", "")


def test_the_facts_say_who_when_and_how_much_evidence_there_is():
    found = facts(describe())
    assert found["Owner"] == ("Ada Example", "")
    assert found["Public key"] == ("a1b2c3d4e5…", "")
    assert found["Committed"] == ("2026-11-27 17:41 UTC", "dated by the owner's own log")
    assert found["Released"] == ("2026-11-27 18:20 UTC", "dated by a time-stamping authority")
    assert found["Bits of evidence"] == ("429", "64 are needed")


def test_a_claim_that_nothing_dates_says_so():
    section = describe(ownership_verification=make_verification(committed=None, released=None))
    assert facts(section)["Committed"] == ("not dated", "")
    assert section["log_note"] == ""


def test_the_owner_s_own_log_comes_with_its_limits():
    assert describe()["log_note"].startswith("The owner's own log convinces nobody else, unless")


def test_the_signed_ticket_stands_beside_the_same_ticket_unsigned():
    found = facts(describe())
    assert found["Signed ticket"] == ("LTR, density 10%", "6,700 of D = 67,000 weights")
    assert found["Test accuracy"] == ("97.2%", "97.5% unsigned (−0.3 points)")
    assert found["Edits of the mask"] == (
        "238 weights",
        "kept or pruned anew, of a mask that keeps k = 6,700",
    )


def test_the_unsigned_ticket_of_a_chain_is_found_by_the_name_of_its_run():
    section = describe(layer_cts=UNSIGNED, signature_embedding=make_signature(signed_method="layer>cts"))
    assert facts(section)["Test accuracy"] == ("97.2%", "97.5% unsigned (−0.3 points)")


@pytest.mark.parametrize("record", [{}, {"metrics": {"test_accuracy": 0.5, "ticket": "f" * 64}}])
def test_another_ticket_is_never_taken_for_the_unsigned_one(record):
    note = "there is no result of the same ticket unsigned"
    assert facts(describe(ltr=record))["Test accuracy"] == ("97.2%", note)


def test_triggers_of_the_verification_go_before_those_read_back():
    text, note = facts(describe())["Trigger images"]
    assert (text, note) == (
        "99 of 100 get the key's label",
        "322 bits of evidence, read back after training",
    )
    verified = make_verification(triggers_hits=40, triggers_counted=50, triggers_bits=101.0)
    text, note = facts(describe(ownership_verification=verified))["Trigger images"]
    assert (text, note) == ("40 of 50 get the key's label", "101 bits of evidence")
    untrained = make_signature(trigger_hits=0, trigger_counted=0, trigger_bits=0.0)
    assert "Trigger images" not in facts(describe(signature_embedding=untrained))


def test_each_check_has_a_mark_and_a_word():
    marks = [(check["mark"], check["word"]) for check in describe()["checks"]]
    assert marks == [("✓", "passed"), ("–", "noted"), ("✗", "failed")]


def test_the_strongest_try_stands_for_an_attack_by_its_worst_seed():
    rows = [
        make_try(parameters="share=0.1", bits=300.0),
        make_try(parameters="share=0.3", bits=120.0, decoded=False),
        make_try(parameters="share=0.3", seed=1, bits=90.0, accuracy_drop=0.031),
    ]
    (row,) = describe_attacks(rows)["rows"]
    assert (row["parameters"], row["seed"], row["bits"]) == ("share=0.3", 1, 90.0)
    assert row["change"] == -0.031
    assert (row["detected_in"], row["decoded_in"], row["qr_in"]) == ("3 of 3", "2 of 3", "3 of 3")


def test_a_broken_promise_comes_first_with_its_worst_try():
    rows = [
        make_try("A0", ""),
        make_try(parameters="share=0.1", held=False, bits=31.2, detected=False, decoded=False),
        make_try(parameters="share=0.2", held=True),
        make_try(parameters="share=0.9", held=None, bits=0.0),
    ]
    section = describe_attacks(rows)
    assert [(row["attack"], row["promise"]) for row in section["rows"]] == [("A5", "broken"), ("A0", "kept")]
    assert section["rows"][0]["parameters"] == "share=0.1"
    assert section["kept"] == ""
    (sentence,) = section["broken"]
    assert sentence == (
        "A5 magnitude pruning, in 1 of the 2 tries that the promise covers. The worst, share=0.1, seed 0: "
        "31 bits of evidence where 64 are needed, payload not decoded, 97 of 100 triggers, accuracy −1.0 "
        "points."
    )


def test_a_single_try_that_broke_a_promise_is_told_in_one_sentence():
    row = make_try("A0", "", held=False, trigger_hits=None, trigger_counted=None, accuracy_drop=None)
    (sentence,) = describe_attacks([row])["broken"]
    assert sentence == "A0 none, seed 0: 310 bits of evidence where 64 are needed, payload decoded."


def test_kept_promises_are_counted_by_the_tries_that_they_cover():
    rows = [make_try("A0", ""), make_try(), make_try(parameters="share=0.9", held=None, bits=0.0)]
    assert describe_attacks(rows)["kept"] == "Every promise was kept. Tries that one covers: 2 of 3."


@pytest.mark.parametrize(("pledge", "promise"), [("must", "not tested"), ("report", "none")])
def test_a_promise_that_covers_no_try_was_not_tested(pledge, promise):
    section = describe_attacks([make_try(held=None, pledge=pledge)])
    assert [row["promise"] for row in section["rows"]] == [promise]
    assert section["kept"] == "No promise was put to the test."


def test_an_attack_that_is_impossible_here_counts_as_no_try():
    impossible = make_try(parameters="share=0.5", note="no filter is left", bits=0.0, detected=False)
    (row,) = describe_attacks([make_try(), make_try(parameters="share=0.2"), impossible])["rows"]
    assert (row["parameters"], row["detected_in"]) == ("share=0.2", "2 of 2")
    (alone,) = describe_attacks([impossible])["rows"]
    assert (alone["note"], alone["detected_in"]) == ("no filter is left", "")


def test_without_a_qr_code_nothing_is_compared():
    missing = dict.fromkeys(("qr_decoded", "qr_matched", "qr_read", "qr_accuracy"))
    assert not describe_attacks([make_try(**missing)])["compared"]
    assert describe_attacks([make_try(qr_decoded=False)])["compared"]

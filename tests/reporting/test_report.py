import json
import re

import pandas as pd
import plotly.graph_objects as go
import pytest

from lottery_pipeline.reporting.architecture_section import describe_architecture
from lottery_pipeline.reporting.figures import draw_architecture, draw_attacks
from lottery_pipeline.reporting.leaderboard import build_leaderboard
from lottery_pipeline.reporting.ownership_section import describe_ownership
from lottery_pipeline.reporting.report import flatten
from tests.reporting.ownership_records import make_signature, make_try, make_verification
from tests.reporting.records import make_blocks, make_ladder, make_metrics, make_superticket
from tests.reporting.rendering import HOSTILE, Page, render


def test_the_page_is_well_formed_and_says_what_was_run():
    page = Page(render())
    assert "digits · resnet20" in page.text
    assert (
        "the LTR ticket, chosen by validation accuracy, keeps 99.4% of the dense network's acc" in page.text
    )
    assert "97.5% LTR ticket, test accuracy; chosen by validation accuracy" in page.text
    assert "Prunable weights D 67,000" in page.text
    assert "pretraining.epochs" in page.text


def test_the_page_loads_nothing():
    page = Page(render())
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed", "img", "base")]
    assert not [attributes for _, attributes in page.tags if "src" in attributes]
    assert {attributes["href"] for _, attributes in page.tags if "href" in attributes} == {"#words"}
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_cells_of_the_leaderboard_hold_the_numbers_that_it_is_sorted_by():
    page = Page(render())
    assert {"class": "n", "data-v": "36120"} in [attributes for tag, attributes in page.tags if tag == "td"]
    (table,) = [a for tag, a in page.tags if tag == "table" and "leaderboard" in a.get("class", "")]
    assert "sortable" in table["class"]


def test_hostile_names_do_not_become_markup():
    profile = pd.DataFrame({f"name{HOSTILE}": [HOSTILE]})
    figure = go.Figure(go.Scatter(x=[1], y=[1], name=HOSTILE), layout={"title": {"text": HOSTILE}})
    page = Page(
        render(
            data_profile=profile,
            figures={f"extra{HOSTILE}": figure},
            context={"data": HOSTILE, "experiment": HOSTILE, "parameters": {HOSTILE: {"a": HOSTILE}}},
        )
    )
    assert [tag for tag, _ in page.tags].count("img") == 0
    assert not [a for _, a in page.tags if "onerror" in a]
    assert [tag for tag, _ in page.tags].count("script") == 4
    assert HOSTILE in page.text


def test_figures_travel_as_json_without_their_title():
    text = render()
    found = re.findall(r'<script type="application/json" data-for="(\w+)">(.*?)</script>', text, re.DOTALL)
    assert [name for name, _ in found] == ["accuracy_against_density", "layer_densities"]
    for _, content in found:
        assert "title" not in json.loads(content)["layout"]
    assert Page(text).text.count("Accuracy against density") == 1


def test_figures_stand_in_the_order_of_their_texts_and_those_not_drawn_are_left_out():
    names = ["sanity_checks", "accuracy_against_cost", "accuracy_against_density", "training_curves"]
    text = render(figures={name: go.Figure() for name in names} | {"layer_densities": None})
    found = re.findall(r'<script type="application/json" data-for="(\w+)">', text)
    assert found == [*names[2:0:-1], "training_curves", "sanity_checks"]
    assert "An arrow: the mean is beyond the edge." in Page(text).text
    assert "Density of every layer" not in Page(text).text


def test_methods_are_explained_where_they_have_a_row():
    text = Page(render({"cts": make_metrics("cts"), "ltr": make_metrics("ltr")})).text
    assert "CTS (Arora and Teuscher, 2025) Concrete Ticket Search:" in text
    assert "SNIP" not in text
    assert "(Lee and others, 2019)" in Page(render({"snip": make_metrics("snip")})).text


def test_data_figures_stand_with_the_images():
    text = render(figures={"data_samples": go.Figure()})
    assert text.index("<h2>The images</h2>") < text.index('data-figure="data_samples"')


def test_the_leaderboard_is_written_for_people():
    page = Page(render())
    row = page.text[page.text.index("Leaderboard") :]
    assert "Dense network 100% 67,000 98.1%" in row
    assert (
        "LTR 10% 6,700 97.5% 95.3% to 98.7% 98.0% −0.6 120 epochs 1.3 min 28.5 epochs 14 s 321 k 26% 1.23 M"
        in row
    )
    assert row.index("LTR 10%") < row.index("LTH 10%")
    assert "Sorted by density, then by validation accuracy: accuracies are comparable" in row


def test_without_validation_images_the_page_names_no_best_ticket_and_says_how_rows_are_sorted():
    metrics = {run: make_metrics(run, validation_accuracy=None) for run in ("lth", "ltr")}
    page = Page(render(metrics))
    assert "None is called the best, because there are no validation images to choose by." in page.text
    assert "chosen by validation accuracy" not in page.text
    assert "then by name, as there are no validation images to choose by: accuracies" in page.text


def test_the_page_links_its_run_in_mlflow_or_says_that_there_is_none():
    address = "http://127.0.0.1:5000/#/experiments/1/runs"
    assert f'<a href="{address}">' in render(context={"tracked": address})
    named = render(context={"tracked": address, "run": "0123abc"})
    assert "Run <code>0123abc</code> in MLflow" in named
    assert f'<a href="{address}/0123abc">' in named
    assert "This run was not tracked in MLflow." in render(context={"tracked": ""})
    assert "MLflow" not in Page(render(context={})).text


def test_the_page_names_command_commit_versions_and_what_was_left_out():
    context = {"command": "kedro run --env x", "commit": "abc, with changes", "versions": {"torch": "2.14"}}
    text = Page(render(context=context, left_out=["grasp failed."])).text
    assert (
        "not computed again. kedro run --env x The code is at commit abc, with changes . With torch" in text
    )
    assert "Not here, and why: grasp failed." in text
    assert "no commit to name" in render(context={"commit": ""})


def test_a_row_that_cannot_be_compared_carries_its_note():
    metrics = {
        "lth": make_metrics("lth"),
        "cts": make_metrics("cts"),
        "ltr": make_metrics("ltr", dense_fingerprint="e" * 64),
    }
    assert "not comparable: its dense parent is eeeeeeeeee" in Page(render(metrics)).text


def test_a_leaderboard_read_back_from_csv_gives_the_same_page(tmp_path):
    leaderboard = build_leaderboard({"lth": make_metrics("lth"), "ltr": make_metrics("ltr")})
    leaderboard.to_csv(tmp_path / "leaderboard.csv", index=False)
    assert render(leaderboard=pd.read_csv(tmp_path / "leaderboard.csv")) == render(leaderboard=leaderboard)


def test_equal_arguments_give_an_equal_page():
    assert render() == render()


def test_a_project_where_nothing_has_run_still_gets_a_page():
    page = Page(
        render(
            {},
            figures={},
            data_profile=None,
            dense_metrics=None,
            ladders={"ltr": None},
            controls={"ltr": None},
            context={},
        )
    )
    assert "No ticket has been found yet." in page.text
    assert "Nothing has been trained yet." in page.text
    assert "Ladders" not in page.text


def render_ownership(*rows, **changes):
    results = {"signature_embedding": make_signature(**changes)}
    results |= {"ownership_verification": make_verification(**changes), "ownership_attacks": {"rows": rows}}
    return render(figures={"attacks": draw_attacks(rows)}, ownership=describe_ownership(results))


def test_who_owns_the_signed_ticket_is_told_only_where_one_was_signed():
    assert "Who owns" not in Page(render()).text
    assert "Bits of evidence" not in Page(render()).text
    text = Page(render_ownership(make_try())).text
    assert "Who owns the signed ticket The suspect was made from the ticket of Ada Example" in text
    assert "Committed 2026-11-27 17:41 UTC dated by the owner's own log" in text
    assert "mask code decoded ✗ failed no payload was read" in text
    assert "What this does not prove" in text
    assert "Group Eight places in the mask" in text


def test_attacks_stand_with_the_owner_and_have_a_row_each():
    page = Page(render_ownership(make_try(), make_try("A22", "queries=10000", pledge="report", held=None)))
    assert "Every promise was kept. Tries that one covers: 1 of 2." in page.text
    assert "A5 magnitude pruning kept share=0.1 96.2% −1.0 310 yes yes 97/100 read" in page.text
    assert "A22 extraction none queries=10000" in page.text
    assert (
        "Not measured here: magnitude pruning of ResNet-20 on CIFAR-10, from arXiv 2111.00162." in page.text
    )
    assert "Evidence against accuracy" not in page.text, "no heading of its own"
    (plot,) = [attributes for _, attributes in page.tags if "data-figure" in attributes]
    assert plot["data-figure"] == "attacks"


def test_a_broken_promise_is_told_before_the_figure():
    text = render_ownership(make_try(held=False, bits=12.0))
    assert text.index("A promise was broken.") < text.index('data-figure="attacks"')
    assert "Every promise was kept" not in text


def test_without_attacks_or_a_qr_code_their_parts_are_left_out():
    results = {"signature_embedding": make_signature()}
    assert "Attacks on the mark" not in Page(render(ownership=describe_ownership(results))).text
    row = make_try(**dict.fromkeys(("qr_decoded", "qr_matched", "qr_read", "qr_accuracy")))
    assert "QR code" not in Page(render_ownership(row)).text


def test_hostile_words_about_the_owner_do_not_become_markup():
    row = make_try(HOSTILE, HOSTILE, name=HOSTILE, note=HOSTILE, held=False)
    page = Page(render_ownership(row, owner=HOSTILE, sentence=HOSTILE, public_key=HOSTILE))
    assert [tag for tag, _ in page.tags].count("img") == 0
    assert [tag for tag, _ in page.tags].count("script") == 4
    assert HOSTILE in page.text


def render_superticket(**changes):
    own = make_superticket(**changes)
    return render(
        {"ltr": make_metrics("ltr"), "supertickets": own},
        figures={"architecture": draw_architecture(make_blocks())},
        architecture=describe_architecture(
            own, make_blocks(), folder="data/06_models/base/base/supertickets", experiment="base"
        ),
    )


def test_the_architecture_found_is_told_only_where_one_was_found():
    plain = Page(render()).text
    assert "The architecture found" not in plain
    assert "Search unit" not in plain
    text = Page(render_superticket()).text
    assert "The architecture found The ticket keeps 6,700 of D = 20,000 weights of the supernet." in text
    assert "s1.branch1.block1 3×3 1 4 4 2 of 4 100 12% 1 10%" in text
    assert "s2.branch2.block1 gone – 4 4 0 of 4 0 0% 0 0%" in text
    assert "stem and classifier – – – – 900 100% 40 40%" in text
    assert "One block has vanished: nothing is left of it but its skip path (s2.branch2.block1)." in text
    assert "model.name=supernet:data/06_models/base/base/supertickets/architecture.json" in text
    for word in ("Supernet A network", "SuperTicket A ticket", "Search unit What", "Found accuracy That"):
        assert word in text


def test_figures_of_the_architecture_stand_in_its_section():
    text = render_superticket()
    assert text.index("<h2>The architecture found</h2>") < text.index('data-figure="architecture"')
    assert "<h2>The network</h2>" not in text
    assert text.count("plotly.js v") == 1


def test_a_network_of_its_own_stands_beside_its_own_dense_parent():
    text = Page(render_superticket()).text
    assert "Dense network 100% 67,000 98.1% 96.0% to 99.1% 98.5% – – 30 epochs 15 s 1.23 M" in text
    assert "Dense network of SuperTickets: supernet, D = 20,000 100% 20,000 99.0% – – – – 400 k" in text
    row = "SuperTickets a network of its own: supernet, D = 20,000 33.5% 6,700 98.0%"
    assert f"{row} 96.0% to 99.1% 71.0% as found 97.9% −1.0" in text
    assert "Prunable weights D 67,000" in text


def test_a_network_of_its_own_is_no_earlier_dense_run():
    page = render_superticket()
    assert "Not up to date" not in page
    assert '<small class="warn">a network' not in page


def test_a_network_of_its_own_alone_is_not_taken_for_that_of_the_dense_run():
    text = Page(render({"supertickets": make_superticket()}, figures={}, ladders={}, controls={})).text
    assert "Dense network 100% 67,000 98.1% 96.0% to 99.1% 98.5% – – 30 epochs 15 s – 100%" in text
    assert "Dense network of SuperTickets: supernet, D = 20,000" in text
    assert "Not up to date" not in text


def test_a_page_about_another_task_names_its_metric():
    metrics = {"ltr": make_metrics("ltr", metric="mIoU")}
    page = Page(render(metrics, ladders={"ltr": make_ladder("ltr")}, controls={}))
    assert "mIoU Mean intersection over union" in page.text
    assert "mIoU against density" in page.text
    assert "Test mIoU" in page.text
    # What is left of the word: accuracies in general, in the captions of figures and the glossary.
    assert "Test accuracy" not in page.text
    assert "test accuracy" not in page.text


def test_a_leaderboard_with_another_network_read_back_from_csv_gives_the_same_page(tmp_path):
    own = {"ltr": make_metrics("ltr"), "supertickets": make_superticket()}
    leaderboard = build_leaderboard(own)
    leaderboard.to_csv(tmp_path / "leaderboard.csv", index=False)
    stored = pd.read_csv(tmp_path / "leaderboard.csv")
    assert render(own, leaderboard=stored) == render(own, leaderboard=leaderboard)


def test_hostile_names_of_blocks_and_networks_do_not_become_markup():
    blocks = make_blocks()
    blocks[0]["block"] = HOSTILE
    own = make_superticket(model=HOSTILE)
    found = describe_architecture(own, blocks, folder=HOSTILE, experiment="base")
    page = Page(render({"supertickets": own}, architecture=found, figures={"x": draw_architecture(blocks)}))
    assert [tag for tag, _ in page.tags].count("img") == 0
    assert [tag for tag, _ in page.tags].count("script") == 4
    assert HOSTILE in page.text


@pytest.mark.parametrize(
    ("record", "flat"),
    [
        ({"a": {"b": 1, "c": [1, 2]}, "d": "x"}, {"a.b": "1", "a.c": "[1, 2]", "d": "x"}),
        ({"a": {}, "b": None, "c": True}, {"a": "{}", "b": "null", "c": "true"}),
    ],
)
def test_nested_parameters_get_dotted_names(record, flat):
    assert flatten(record) == flat


def test_the_weights_that_do_not_count_are_named_below_the_leaderboard():
    sentence = "12.3 % of the network's weights are not counted in D: <b> (recurrent, 12.3 %)"
    page = Page(render(uncounted=sentence))
    assert f"{sentence}." in page.texts
    assert "b" not in {tag for tag, _ in page.tags}
    assert "not counted in D" not in render()

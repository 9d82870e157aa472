from lottery_pipeline.reporting.architecture_section import describe_architecture
from tests.reporting.records import make_blocks, make_superticket

FOLDER = "data/06_models/base/base/supertickets"


def describe(**changes):
    return describe_architecture(make_superticket(**changes), make_blocks(), folder=FOLDER, experiment="base")


def test_one_paragraph_has_the_numbers():
    assert describe()["sentence"] == (
        "The ticket keeps 6,700 of D = 20,000 weights of the supernet. With channels that its mask leaves "
        "empty taken out too, it executes 60% of the supernet's "
        "multiply-accumulates; 22.5% would be enough if every masked weight could be skipped. On the test "
        "images its accuracy is 71.0% as found and 98.0% retrained; that of the whole supernet is 99.0%."
    )


def test_numbers_that_are_not_known_are_left_out_or_dashes():
    text = describe(found_accuracy=None, macs_dense=None)["sentence"]
    assert "its accuracy is 98.0%; that" in text
    assert "it executes – of" in text


def test_another_task_has_another_metric():
    assert "its mIoU is 71.0% as found" in describe(metric="mIoU")["sentence"]


def test_a_row_of_the_table_stands_beside_the_supernet():
    row = describe()["rows"][1]
    assert (row["name"], row["kernels"], row["hidden"], row["supernet"]) == (
        "s1.branch1.block1",
        "3×3",
        "1",
        "4 4",
    )
    assert (row["tokens"], row["gone"], row["share"]) == ((2, 4), False, 0.125)


def test_blocks_that_have_vanished_are_named():
    described = describe()
    assert described["gone"] == ["s2.branch2.block1"]
    assert [row["name"] for row in described["rows"] if row["gone"]] == ["s2.branch2.block1"]
    assert not described["rows"][-1]["gone"], "stem and classifier cannot vanish"


def test_a_command_makes_the_architecture_the_network_of_a_run():
    assert describe()["command"] == (
        "kedro run --pipelines snip,reporting "
        '--params "model.name=supernet:data/06_models/base/base/supertickets/architecture.json,variant=found"'
    )


def test_the_command_names_the_experiment():
    described = describe_architecture(make_superticket(), make_blocks(), folder=FOLDER, experiment="canvases")
    assert described["command"].startswith("kedro run --env canvases --pipelines")

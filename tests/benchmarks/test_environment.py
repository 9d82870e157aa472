"""Results say what they ran on, those from before, too."""

import json

from benchmarks.environment import write_report

OLD = {"threads": 2, "commit": "a", "date": "2026-01-01"}
NEW = {"threads": 1, "commit": "b", "date": "2026-02-02"}


def write(path, rows, environment):
    write_report(path, {"rows": rows, "environment": dict(environment)})
    found = json.loads(path.read_text())
    return found["environment"], found.get("earlier_environments", [])


def test_environments_of_earlier_rows_are_kept(tmp_path):
    path = tmp_path / "result.json"
    assert write(path, [1], OLD) == (OLD, [])
    assert write(path, [1], NEW) == (OLD, []), "a mere report runs nothing"
    assert write(path, [1, 2], NEW) == (NEW, [OLD])
    later = NEW | {"commit": "c"}
    assert write(path, [1, 2, 3], later) == (later, [OLD]), "the same machine"
    assert write(path, [1, 2, 3], OLD) == (later, [OLD])
    assert write(path, [4], OLD) == (OLD, []), "of the earlier rows none is left"

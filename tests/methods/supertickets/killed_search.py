"""A search in a process of its own, to be killed: killed_search.py CHECKPOINTS TICKET."""

import sys
from pathlib import Path

from lottery_pipeline.methods.supertickets import extract_supertickets
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.training import run as run_module
from tests.supernets import RECIPE, ask, pretrain_supernet
from tests.tiny import draw_images, search_for

STRONG = {
    "search": {"every": 1.0, "rho": 0.02, "rho_warmup": 0.0, "keep_rule": "ema", "gamma_threshold": 0.5}
}

if __name__ == "__main__":
    run_module._SEGMENT_SECONDS = 0.0
    images = draw_images(side=8, counts=(200, 20, 20))
    checkpoints = Checkpoints(sys.argv[1], interval_seconds=0.0)
    recipe = RECIPE.replace(epochs=12)
    found = extract_supertickets(
        search_for(images, pretrain_supernet(images), recipe, checkpoints=checkpoints), ask(**STRONG)
    )
    assert any("shrink" in row["event"] for row in found.trace)
    found.ticket.save(Path(sys.argv[2]))

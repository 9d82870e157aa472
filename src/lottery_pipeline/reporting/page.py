"""A page: one self-contained html file from a template and what it shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.metric import put_metric

PRINTED = (  # filters of the templates
    *(fmt.percent, fmt.density, fmt.points, fmt.whole, fmt.number, fmt.epochs, fmt.duration),
    *(fmt.quantity, fmt.size, fmt.ratio, fmt.short_fingerprint, fmt.is_there, put_metric),
)


def render_page(template: str, page: Mapping[str, Any]) -> str:
    """Fill a template; everything in it is escaped.

    Args:
        template: its path from this folder.
        page: all that it names; a name that is missing is an error.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in PRINTED}
    return environment.get_template(template).render(page)

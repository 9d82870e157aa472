"""Optional packages that some options need."""

from importlib.util import find_spec


def check_extra(package: str, extra: str) -> None:
    """Refuse an option whose package is not installed.

    Args:
        package: as it is imported.
        extra: of this project that brings the package.

    Raises:
        ValueError: the package is missing; one sentence with the command that installs it.
    """
    if find_spec(package) is None:
        raise ValueError(f'this needs the extra "{extra}": pip install "lottery_pipeline[{extra}]"')

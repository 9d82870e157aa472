"""Passwords on the way to MLflow: they never stand in a message, a page or a tag."""

import logging
import os
import re
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit, urlunsplit

HIDDEN = "***"

_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_SECRET_KEY = re.compile(r"pass|pwd|token|secret|key|signature", re.IGNORECASE)
_SHORTEST = 4  # a shorter one is hidden in addresses alone: elsewhere it would take away common words

# From "//" to the last "@" before the path; a password that is not quoted may have "/" or "@" in it.
_USER = re.compile(r"(?<=://)[^\s'\"<>]*@(?=[^\s'\"<>@]*)")
_QUERY = re.compile(
    r"([?&;][\w.-]*(?:pass|pwd|token|secret|key|signature)[\w.-]*=)[^\s&;'\"<>]+", re.IGNORECASE
)


class Passwords:
    """What must be hidden: the passwords of a tracking URI, of MLflow's variables and of the proxies."""

    def __init__(self, uri: str = "") -> None:
        variables = {name: os.environ.get(name) or os.environ.get(name.lower(), "") for name in _VARIABLES}
        found = {secret for text in (uri, *variables.values()) for secret in _find_secrets(text)}
        found |= {os.environ.get(name, "") for name in _SECRETS}
        written = {form for secret in found for form in _list_forms(secret)}
        self._secrets = sorted((form for form in written if len(form) >= _SHORTEST), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """Return a text without them, whatever address they stand in."""
        text = _QUERY.sub(rf"\1{HIDDEN}", _USER.sub(f"{HIDDEN}@", text))
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


class HidingFilter(logging.Filter):
    """Hides passwords in what another package logs."""

    def __init__(self, passwords: Passwords) -> None:
        super().__init__()
        self._passwords = passwords

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record; let it pass."""
        if record.exc_info:
            record.exc_text = self._passwords.hide(logging.Formatter().formatException(record.exc_info))
        record.msg, record.args = self._passwords.hide(record.getMessage()), None
        return True


def hide_in_logs(passwords: Passwords) -> None:
    """Hide passwords in what MLflow, its way to a server and its way to a data base log."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("mlflow", "alembic", "sqlalchemy", "urllib3", "requests"):
            other = logging.getLogger(name)
            for old in [found for found in other.filters if isinstance(found, HidingFilter)]:
                other.removeFilter(old)
            other.addFilter(HidingFilter(passwords))


def strip_login(uri: str) -> str:
    """Return the address of a server without user and password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def take_login(uri: str) -> str:
    """Give user and password of a server's address to MLflow by its variables; return the address without.

    MLflow shows the address in messages and pages, but never its variables.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return uri
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(user)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
    return strip_login(uri)


def _find_secrets(uri: str) -> set[str]:
    login = uri.partition("://")[2].rpartition("@")[0]
    try:
        query = urlsplit(uri).query
    except ValueError:
        query = ""
    asked = {value for key, value in parse_qsl(query) if _SECRET_KEY.search(key)}
    return {login.partition(":")[2], *asked} - {""}


def _list_forms(secret: str) -> set[str]:
    plain = unquote(secret)
    return {secret, plain, quote(plain), quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1]}

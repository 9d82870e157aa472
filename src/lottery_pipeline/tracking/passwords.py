"""Passwords on the way to MLflow: they never stand in a message, a traceback, a file, a page or a tag."""

import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any
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

_show_traceback = sys.excepthook  # Kedro may have set its own


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


_known: list[Passwords] = []  # the newest


class HidingRecord(logging.LogRecord):
    """A log record, of whatever package, that shows no password, nor does its traceback."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.exc_info:
            self.exc_text = hide(logging.Formatter().formatException(self.exc_info))

    def getMessage(self) -> str:  # noqa: N802
        """Return the message with its arguments."""
        return hide(super().getMessage())


def hide(text: str) -> str:
    """Return a text without the passwords that this process knows of."""
    return (_known[0] if _known else Passwords()).hide(text)


def hide_in(value: Any) -> Any:
    """Return a value of JSON without them, in whatever depth they stand."""
    if isinstance(value, Mapping):
        return {hide_in(key): hide_in(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [hide_in(part) for part in value]
    return hide(value) if isinstance(value, str) else value


def hide_in_output(passwords: Passwords) -> None:
    """Hide passwords in all that this process logs from now on, and in the traceback with which it ends."""
    _known[:] = [passwords]
    logging.setLogRecordFactory(HidingRecord)
    sys.excepthook = show_traceback


def show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an error that nobody caught; as usual, if no password stands in it."""
    text = "".join(traceback.format_exception(kind, error, trace))
    if hide(text) == text:
        _show_traceback(kind, error, trace)
    else:
        sys.stderr.write(hide(text))


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

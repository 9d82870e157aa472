"""Time stamps of an authority, by the protocol of RFC 3161.

``rfc3161-client`` (the optional extra ``timestamp``) writes requests and verifies answers; sending them is
left to us.
"""

import hashlib
import time
from collections.abc import Sequence
from datetime import datetime
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from cryptography.x509 import Certificate, load_pem_x509_certificates

from lottery_pipeline.options.extras import check_extra
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.ownership.errors import OwnershipError

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

MAX_TOKEN = 64 * 2**10  # bytes
_SHA256_OID = "2.16.840.1.101.3.4.2.1"


def request_stamp(message: bytes, url: str, *, timeout: float) -> bytes:
    """Have a time-stamping authority certify that a message exists now; only its SHA-256 is sent.

    Args:
        message: ``Envelope.stamped``.
        url: of the authority, http or https.
        timeout: seconds for the whole exchange, about.

    Returns:
        The authority's answer (a TimeStampResp in DER), which answers this request; its signature is not
        checked here, since that needs the authority's root certificate.

    Raises:
        OwnershipError: the extra is missing, the authority cannot be reached or refuses, or what it sends is
            too long or answers another request.
    """
    _check_client()
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    request = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256).build()
    token = _post(url, request.as_bytes(), timeout)
    answer = _parse(token, hashlib.sha256(message).digest())
    if answer.tst_info.nonce != request.nonce:
        raise OwnershipError("the time-stamping authority answered another request")
    return token


def check_stamp(token: bytes, digest: bytes, roots: Sequence[bytes]) -> datetime:
    """Verify a time stamp.

    Args:
        token: TimeStampResp in DER.
        digest: SHA-256 of what was stamped.
        roots: certificates in PEM that are trusted.

    Returns:
        The time that the authority certifies.

    Raises:
        OwnershipError: the extra is missing, a root is not a certificate, or the token is malformed, of
            another digest, or not signed by an authority below one of the roots.
    """
    _check_client()
    from rfc3161_client import VerificationError, VerifierBuilder

    answer = _parse(token, digest)
    verifier = VerifierBuilder(roots=_load(roots)).build()
    try:
        verifier.verify(answer, digest)
    except (VerificationError, ValueError) as error:
        raise OwnershipError("the time stamp is not signed by a trusted authority") from error
    return answer.tst_info.gen_time


def _check_client() -> None:
    try:
        check_extra("rfc3161_client", "timestamp")
    except ValueError as error:
        raise OwnershipError(str(error)) from error


def _parse(token: bytes, digest: bytes) -> "TimeStampResponse":
    from rfc3161_client import PKIStatus, decode_timestamp_response

    if len(token) > MAX_TOKEN:
        raise OwnershipError(f"the time stamp has more than the {MAX_TOKEN} bytes allowed")
    try:
        answer = decode_timestamp_response(token)
        granted = answer.status == PKIStatus.GRANTED
        imprint = answer.tst_info.message_imprint if granted else None
    except ValueError as error:
        raise OwnershipError("the time stamp is not a valid answer of an authority (RFC 3161)") from error
    if imprint is None:
        raise OwnershipError("the time-stamping authority refused the request")
    if imprint.hash_algorithm.dotted_string != _SHA256_OID or imprint.message != digest:
        raise OwnershipError("the time stamp is of something else")
    return answer


def _load(roots: Sequence[bytes]) -> list[Certificate]:
    try:
        certificates = [certificate for root in roots for certificate in load_pem_x509_certificates(root)]
    except ValueError as error:
        raise OwnershipError("a root of the time-stamping authorities is not a certificate in PEM") from error
    if not certificates:
        raise OwnershipError("a time stamp needs the root certificate of at least one authority")
    return certificates


def _post(url: str, body: bytes, timeout: float) -> bytes:
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    deadline = time.monotonic() + timeout
    try:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise OwnershipError(
                "the address of a time-stamping authority must begin with http:// or https://"
            )
        request = Request(url, data=body, headers=headers, method="POST")  # noqa: S310 (scheme checked above)
        with _make_opener().open(request, timeout=timeout) as response:
            content = b""
            while chunk := response.read1(MAX_TOKEN + 1 - len(content)):
                content += chunk
                if time.monotonic() > deadline:  # the other end may send a byte a second
                    raise OwnershipError(
                        f"the time-stamping authority did not finish within {write_number(timeout)} s"
                    )
    except OwnershipError:
        raise
    except HTTPError as error:
        with error:
            raise OwnershipError(f"the time-stamping authority answered with status {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise OwnershipError(
            f"the time-stamping authority cannot be reached ({type(error).__name__})"
        ) from error
    if len(content) > MAX_TOKEN:
        raise OwnershipError(f"the time-stamping authority sent more than {MAX_TOKEN} bytes")
    return content


def _make_opener() -> OpenerDirector:
    """Return an opener for HTTP alone, without redirects: a redirected POST loses its body."""
    opener = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor):
        opener.add_handler(handler())
    return opener

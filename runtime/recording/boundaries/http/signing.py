"""Sign a request of AWS again that a fork has changed: its signature covers path, headers and body."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

from greenroom.storage.errors import ReplayError

__all__ = ["signed_again"]

Headers = list[tuple[bytes, bytes]]

_SCOPE: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_MADE_ANEW: Final = ("authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256")


def signed_again(method: str, url: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Headers:
    """Return the headers of a changed request, with a new signature if it has one of AWS. Raises ReplayError if the
    program signs with keys that are not those of its environment: no others can be found."""
    given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    old = next((value for name, value in given if name.lower() == "authorization"), "")
    scope = _SCOPE.match(old)
    if scope is None:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given]
    auth, request = import_module("botocore.auth"), import_module("botocore.awsrequest")
    found: Any = import_module("botocore.session").get_session().get_credentials()
    if found is None or found.get_frozen_credentials().access_key != scope[1]:
        raise ReplayError(
            "a changed request of AWS has to be signed again, and the program signs with keys that are not those of its"
            " environment or profile: set these, or patch the recorded answer instead"
        )
    kept = {name: value for name, value in given if name.lower() not in _MADE_ANEW}
    signed = request.AWSRequest(method, url, kept, body)
    auth.SigV4Auth(found.get_frozen_credentials(), scope[3], scope[2]).add_auth(signed)
    return [(str(name).encode("latin-1"), str(value).encode("latin-1")) for name, value in signed.headers.items()]

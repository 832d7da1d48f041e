"""Names exactly what the classifier reads of a request, so that its answer can be kept."""

import hashlib

from routing.classifier.features import mode_of, tool_kinds_of
from routing.classifier.request_text import RequestText


def digest(text: RequestText) -> str:
    """Return 32 hex digits that are equal for requests the classifier cannot tell apart.

    The number of messages and tools of no known kind change nothing. Whoever keeps answers by it
    keeps the classifier's `version` with them.
    """
    parts = (
        text.system,
        text.first_user,
        text.latest_user,
        mode_of(text) or "",
        repr(tool_kinds_of(text)),
    )
    # The lengths keep apart what the bounds between the parts would else blur.
    frame = repr([len(part) for part in parts])
    content = "\n".join((frame, *parts)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=16).hexdigest()

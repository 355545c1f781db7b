"""ETags: what a client has already is not sent again (RFC 9110, section 13.1.2)."""


def is_known(if_none_match: bytes | None, tag: bytes) -> bool:
    """Whether the header names the ``tag``, which is in quotes. Tags that say that they are weak
    count as well."""
    if if_none_match is None:
        return False
    if if_none_match == tag:
        return True
    # No tag of ours has a comma in it.
    named = [part.strip().removeprefix(b"W/") for part in if_none_match.split(b",")]
    return tag in named or named == [b"*"]

"""What a process that lives long does about its memory."""

import gc


def keep_loaded() -> None:
    """Tell Python that what is loaded by now stays for good.

    Looking through all of it for what can be freed takes longer than most requests, and would make
    one of them wait every now and then.
    """
    gc.freeze()
    # A large report comes with thousands of objects that go by themselves. Objects that refer to
    # each other in a circle do not: when these are looked for too rarely, many requests stay.
    gc.set_threshold(5_000, 10, 10)

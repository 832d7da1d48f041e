"""What a process that lives long does about its memory."""

import gc


def keep_loaded() -> None:
    """Tell Python that what is loaded by now stays for good.

    Looking through all of it for what can be freed takes longer than most requests, and would make
    one of them wait every now and then.
    """
    gc.freeze()
    # A large report makes tens of thousands of objects that go by themselves.
    gc.set_threshold(20_000, 10, 10)

"""What a process that lives long does about its memory."""

import gc


def keep_loaded() -> None:
    """Tell Python that what is loaded by now stays for good.

    Looking through all of it for what can be freed takes longer than most requests, and would make
    one of them wait every now and then.
    """
    gc.freeze()
    # A large report comes with thousands of objects that go by themselves, and when nothing looks for
    # circles for too long, those of many requests are kept.
    gc.set_threshold(5_000, 10, 10)

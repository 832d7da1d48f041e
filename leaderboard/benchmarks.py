"""Which route each known benchmark measures: the one place where that is declared."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Declared:
    """A benchmark that feeds may report. `needs_images`: its tasks show pictures."""

    name: str
    route: str
    url: str
    needs_images: bool = False


BENCHMARKS: Final[dict[str, Declared]] = {
    "swe-bench": Declared(
        "SWE-bench Verified",
        "debugging/bug_fixing",
        "https://www.swebench.com/verified.html",
    ),
    "swt-bench": Declared(
        "SWT-bench",
        "implementation/test_creation",
        "https://swtbench.com/",
    ),
    "commit0": Declared(
        "Commit0",
        "implementation/feature_development",
        "https://commit-0.github.io/",
    ),
    "gaia": Declared(
        "GAIA",
        "investigation/external_research",
        "https://huggingface.co/gaia-benchmark",
    ),
    "swe-bench-multimodal": Declared(
        "SWE-bench Multimodal",
        "debugging/bug_fixing",
        "https://www.swebench.com/multimodal.html",
        needs_images=True,
    ),
}

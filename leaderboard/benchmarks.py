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
    # The whole splits of SWE-bench. The two above are the samples of them that the OpenHands Index
    # runs, so that tasks would not line up under one name.
    "swe-bench-verified": Declared(
        "SWE-bench Verified, all 500 tasks",
        "debugging/bug_fixing",
        "https://www.swebench.com/verified.html",
    ),
    "swe-bench-lite": Declared(
        "SWE-bench Lite",
        "debugging/bug_fixing",
        "https://www.swebench.com/lite.html",
    ),
    "swe-bench-full": Declared(
        "SWE-bench, the full test split",
        "debugging/bug_fixing",
        "https://www.swebench.com/original.html",
    ),
    "swe-bench-multimodal-full": Declared(
        "SWE-bench Multimodal, all 517 tasks",
        "debugging/bug_fixing",
        "https://www.swebench.com/multimodal.html",
        needs_images=True,
    ),
    "aider-polyglot": Declared(
        "Aider polyglot",
        "implementation/code_generation",
        "https://aider.chat/docs/leaderboards/",
    ),
    # Despite its name: a stub is filled in until the exercise's tests pass.
    "aider-edit": Declared(
        "Aider code editing",
        "implementation/code_generation",
        "https://aider.chat/docs/leaderboards/edit.html",
    ),
    "aider-refactor": Declared(
        "Aider refactoring",
        "refactoring/code_cleanup",
        "https://aider.chat/docs/leaderboards/refactor.html",
    ),
    **{
        slug: Declared(name, "agentic_execution/terminal_operations", "https://www.tbench.ai/")
        for slug, name in {
            "terminal-bench": "Terminal-Bench",
            "terminal-bench-core": "Terminal-Bench Core",
            "terminal-bench-core-head": "Terminal-Bench Core, head",
            "terminal-bench-core-0-1-1": "Terminal-Bench Core 0.1.1",
            "terminal-bench-1-0": "Terminal-Bench 1.0",
            "terminal-bench-2-0": "Terminal-Bench 2.0",
            "terminal-bench-2-1": "Terminal-Bench 2.1",
            "kilobench-terminal-bench": "KiloBench: Terminal-Bench",
            "kilobench-terminal-bench-core": "KiloBench: Terminal-Bench Core",
            "kilobench-terminal-bench-1-0": "KiloBench: Terminal-Bench 1.0",
            "kilobench-terminal-bench-2": "KiloBench: Terminal-Bench 2",
            "kilobench-terminal-bench-2-0": "KiloBench: Terminal-Bench 2.0",
            "kilobench-terminal-bench-2-1": "KiloBench: Terminal-Bench 2.1",
        }.items()
    },
}

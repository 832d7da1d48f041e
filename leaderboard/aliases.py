"""What gateways call the models that feeds report.

Feeds name models as they like; policies and clients name them ``provider/name``, as OpenRouter and
the gateways that follow it do.
"""

import re
from typing import Final

UNLISTED: Final = "unlisted"

ALIASES: Final[dict[str, str]] = {
    "claude-fable-5": "anthropic/claude-fable-5",
    "claude-opus-4-5": "anthropic/claude-opus-4.5",
    "claude-opus-4-6": "anthropic/claude-opus-4.6",
    "claude-opus-4-7": "anthropic/claude-opus-4.7",
    "claude-opus-4-8": "anthropic/claude-opus-4.8",
    "claude-sonnet-4-5": "anthropic/claude-sonnet-4.5",
    "claude-sonnet-4-6": "anthropic/claude-sonnet-4.6",
    "DeepSeek-V3.2-Reasoner": "deepseek/deepseek-v3.2",
    "DeepSeek-V4-Pro": "deepseek/deepseek-v4-pro",
    "Gemini-3-Flash": "google/gemini-3-flash-preview",
    "Gemini-3-Pro": "google/gemini-3-pro-preview",
    "Gemini-3.1-Pro": "google/gemini-3.1-pro-preview",
    "Gemini-3.5-Flash": "google/gemini-3.5-flash",
    "GLM-4.7": "z-ai/glm-4.7",
    "GLM-5": "z-ai/glm-5",
    "GLM-5.1": "z-ai/glm-5.1",
    "GPT-5.2": "openai/gpt-5.2",
    "GPT-5.2-Codex": "openai/gpt-5.2-codex",
    "GPT-5.4": "openai/gpt-5.4",
    "GPT-5.5": "openai/gpt-5.5",
    "Kimi-K2-Thinking": "moonshotai/kimi-k2-thinking",
    "Kimi-K2.5": "moonshotai/kimi-k2.5",
    "Kimi-K2.6": "moonshotai/kimi-k2.6",
    "Minimax-2.7": "minimax/minimax-m2.7",
    "MiniMax-M2.1": "minimax/minimax-m2.1",
    "MiniMax-M2.5": "minimax/minimax-m2.5",
    "MiniMax-M2.7": "minimax/minimax-m2.7",
    "MiniMax-M3": "minimax/minimax-m3",
    "Nemotron-3-Nano": "nvidia/nemotron-3-nano-30b-a3b",
    "Nemotron-3-Super": "nvidia/nemotron-3-super-120b-a12b",
    "Qwen3-Coder-480B": "qwen/qwen3-coder",
    "Qwen3-Coder-Next": "qwen/qwen3-coder-next",
    "Qwen3.5-Flash": "qwen/qwen3.5-flash-02-23",
    "Qwen3.6-Plus": "qwen/qwen3.6-plus",
    "Trinity-Large-Thinking": "arcee-ai/trinity-large-thinking",
}


def catalogue_id(feed_model_name: str) -> str:
    """Return the catalogue id of a model that a feed names, else ``unlisted/<name>``."""
    slug = re.sub(r"[^\w.]+", "-", feed_model_name.lower()).strip("-")
    return ALIASES.get(feed_model_name, f"{UNLISTED}/{slug}")

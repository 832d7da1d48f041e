"""What gateways call the models that feeds report.

Feeds name models as they like; policies and clients name them ``provider/name``, as OpenRouter and
the gateways that follow it do.
"""

import re
from typing import Final

UNLISTED: Final = "unlisted"

# Of one model at several efforts of reasoning, only the effort that a caller gets without asking is
# joined to the model's id.
ALIASES: Final[dict[str, str]] = {
    "claude-3-5-haiku-20241022": "anthropic/claude-3.5-haiku",
    "claude-3-5-sonnet-20241022": "anthropic/claude-3.5-sonnet",
    "claude-3-7-sonnet-20250219 (no thinking)": "anthropic/claude-3.7-sonnet",
    "claude-3-haiku-20240307": "anthropic/claude-3-haiku",
    "claude-3-opus-20240229": "anthropic/claude-3-opus",
    "claude-3-sonnet-20240229": "anthropic/claude-3-sonnet",
    "claude-4-sonnet": "anthropic/claude-sonnet-4",
    "claude-4-sonnet-20250514": "anthropic/claude-sonnet-4",
    "claude-fable-5": "anthropic/claude-fable-5",
    "claude-haiku-4-5": "anthropic/claude-haiku-4.5",
    "claude-haiku-4-5-20251001": "anthropic/claude-haiku-4.5",
    "claude-opus-4-20250514": "anthropic/claude-opus-4",
    "claude-opus-4-20250514 (no think)": "anthropic/claude-opus-4",
    "claude-opus-4-5": "anthropic/claude-opus-4.5",
    "claude-opus-4-5-20251101": "anthropic/claude-opus-4.5",
    "claude-opus-4-6": "anthropic/claude-opus-4.6",
    "claude-opus-4-7": "anthropic/claude-opus-4.7",
    "claude-opus-4-8": "anthropic/claude-opus-4.8",
    "claude-sonnet-4": "anthropic/claude-sonnet-4",
    "claude-sonnet-4-20250514": "anthropic/claude-sonnet-4",
    "claude-sonnet-4-20250514 (no thinking)": "anthropic/claude-sonnet-4",
    "claude-sonnet-4-5": "anthropic/claude-sonnet-4.5",
    "claude-sonnet-4-5-20250929": "anthropic/claude-sonnet-4.5",
    "claude-sonnet-4-6": "anthropic/claude-sonnet-4.6",
    "claude-sonnet-4.5": "anthropic/claude-sonnet-4.5",
    "Codestral 25.01": "mistralai/codestral-2501",
    "Command R (08-24)": "cohere/command-r-08-2024",
    "Command R+ (08-24)": "cohere/command-r-plus-08-2024",
    "command-a-03-2025-quality": "cohere/command-a",
    "DeepSeek R1": "deepseek/deepseek-r1",
    "DeepSeek R1 (0528)": "deepseek/deepseek-r1-0528",
    "DeepSeek V3 (0324)": "deepseek/deepseek-chat-v3-0324",
    "DeepSeek-V3.2-Exp (Chat)": "deepseek/deepseek-v3.2-exp",
    "DeepSeek-V3.2-Reasoner": "deepseek/deepseek-v3.2",
    "DeepSeek-V4-Pro": "deepseek/deepseek-v4-pro",
    "Gemini 2.5 Pro Preview 03-25": "google/gemini-2.5-pro-preview-03-25",
    "Gemini-3-Flash": "google/gemini-3-flash-preview",
    "Gemini-3-Pro": "google/gemini-3-pro-preview",
    "gemini-3-pro-preview": "google/gemini-3-pro-preview",
    "Gemini-3.1-Pro": "google/gemini-3.1-pro-preview",
    "Gemini-3.5-Flash": "google/gemini-3.5-flash",
    "gemma-3-27b-it": "google/gemma-3-27b-it",
    "GLM-4.7": "z-ai/glm-4.7",
    "GLM-5": "z-ai/glm-5",
    "GLM-5.1": "z-ai/glm-5.1",
    "gpt-3.5-turbo-0613": "openai/gpt-3.5-turbo-0613",
    "gpt-3.5-turbo-1106": "openai/gpt-3.5-turbo-1106",
    "gpt-4-1106-preview": "openai/gpt-4-1106-preview",
    "gpt-4.1": "openai/gpt-4.1",
    "gpt-4.1-mini": "openai/gpt-4.1-mini",
    "gpt-4.1-nano": "openai/gpt-4.1-nano",
    "gpt-4.5-preview": "openai/gpt-4.5-preview",
    "gpt-4o": "openai/gpt-4o",
    "gpt-4o-2024-05-13": "openai/gpt-4o-2024-05-13",
    "gpt-4o-mini": "openai/gpt-4o-mini",
    "gpt-4o-mini-2024-07-18": "openai/gpt-4o-mini",
    "gpt-5": "openai/gpt-5",
    "gpt-5 (medium)": "openai/gpt-5",
    "gpt-5-2025-08-07": "openai/gpt-5",
    "gpt-5-mini": "openai/gpt-5-mini",
    "gpt-5.1": "openai/gpt-5.1",
    "gpt-5.1-2025-11-13": "openai/gpt-5.1",
    "GPT-5.2": "openai/gpt-5.2",
    "GPT-5.2-Codex": "openai/gpt-5.2-codex",
    "GPT-5.4": "openai/gpt-5.4",
    "GPT-5.5": "openai/gpt-5.5",
    "Grok 3 Beta": "x-ai/grok-3-beta",
    "Kimi K2": "moonshotai/kimi-k2",
    "Kimi-K2-Thinking": "moonshotai/kimi-k2-thinking",
    "Kimi-K2.5": "moonshotai/kimi-k2.5",
    "Kimi-K2.6": "moonshotai/kimi-k2.6",
    "Llama 4 Maverick": "meta-llama/llama-4-maverick",
    "llama-3.1-405b-instruct (whole)": "meta-llama/llama-3.1-405b-instruct",
    "llama-3.1-70b-instruct": "meta-llama/llama-3.1-70b-instruct",
    "llama-3.1-8b-instruct": "meta-llama/llama-3.1-8b-instruct",
    "llama-3.3-70b-instruct": "meta-llama/llama-3.3-70b-instruct",
    "Minimax-2.7": "minimax/minimax-m2.7",
    "minimax-m2": "minimax/minimax-m2",
    "MiniMax-M2.1": "minimax/minimax-m2.1",
    "MiniMax-M2.5": "minimax/minimax-m2.5",
    "MiniMax-M2.7": "minimax/minimax-m2.7",
    "MiniMax-M3": "minimax/minimax-m3",
    "Nemotron-3-Nano": "nvidia/nemotron-3-nano-30b-a3b",
    "Nemotron-3-Super": "nvidia/nemotron-3-super-120b-a12b",
    "Nova Pro": "amazon/nova-pro-v1",
    "o1": "openai/o1",
    "o1-mini": "openai/o1-mini",
    "o1-mini-2024-09-12": "openai/o1-mini",
    "o3": "openai/o3",
    "o3-2025-04-16": "openai/o3",
    "o3-mini (medium)": "openai/o3-mini",
    "o4-mini-2025-04-16": "openai/o4-mini",
    "openrouter/qwen/qwen-2.5-coder-32b-instruct": "qwen/qwen-2.5-coder-32b-instruct",
    "qwen-2.5-72b-instruct (bf16)": "qwen/qwen-2.5-72b-instruct",
    "Qwen2 72B Instruct": "qwen/qwen-2-72b-instruct",
    "Qwen2.5-Coder-32B-Instruct": "qwen/qwen-2.5-coder-32b-instruct",
    "Qwen2.5-Coder-7B-Instruct": "qwen/qwen2.5-coder-7b-instruct",
    "Qwen3 32B": "qwen/qwen3-32b",
    "Qwen3-Coder-480B": "qwen/qwen3-coder",
    "Qwen3-Coder-Next": "qwen/qwen3-coder-next",
    "Qwen3.5-Flash": "qwen/qwen3.5-flash-02-23",
    "Qwen3.6-Plus": "qwen/qwen3.6-plus",
    "QwQ-32B": "qwen/qwq-32b",
    "Trinity-Large-Thinking": "arcee-ai/trinity-large-thinking",
    "WizardLM-2 8x22B": "microsoft/wizardlm-2-8x22b",
}
# By these a client library names the place where a model runs, not who made it.
PLACES: Final = frozenset(
    {
        "azure",
        "bedrock",
        "fireworks_ai",
        "gemini",
        "groq",
        "huggingface",
        "lm_studio",
        "ollama",
        "openrouter",
        "together_ai",
        "vertex_ai",
    }
)
CATALOGUE_ID: Final = re.compile(r"([a-z0-9][a-z0-9_-]*)/([a-z0-9][a-z0-9._:-]*)")


def catalogue_id(feed_model_name: str) -> str:
    """Return the catalogue id of a model that a feed names, else ``unlisted/<name>``.

    A name that is a catalogue id already passes through.
    """
    if alias := ALIASES.get(feed_model_name):
        return alias
    provider, _, name = feed_model_name.partition("/")
    alias = ALIASES.get(name, "")
    if (provider in PLACES and alias) or alias.startswith(f"{provider}/"):
        return alias
    if CATALOGUE_ID.fullmatch(feed_model_name) and provider not in {*PLACES, UNLISTED}:
        return feed_model_name
    slug = re.sub(r"[^\w.]+", "-", feed_model_name.lower()).strip("-")
    return f"{UNLISTED}/{slug}"

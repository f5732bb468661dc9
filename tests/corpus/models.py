"""The models of the corpus: what real users compile, seeded, with outputs that are not trivial.

Each function makes a Case. Names end in the dtype that the whole model runs in, where it is not float32.
"""

from dataclasses import dataclass, field

import torch
from torch.export import Dim

FLOATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16,
          "float64": torch.float64}


@dataclass
class Case:
    model: torch.nn.Module
    args: tuple
    kwargs: dict = field(default_factory=dict)
    dynamic_shapes: object = None
    # Further inputs that the same package is run on.
    more: list = field(default_factory=list)
    # Outputs that are constant or tiny because the model is so, as "RUN.outNUMBER"; all others must not be.
    trivial: set = field(default_factory=set)


def liven(model):
    """Replaces weights that are all the same number: heads of zero, biases of zero, scales of one."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def settle(model, make_input, passes=3):
    """Gives batch norms statistics of a few forward passes, as training would."""
    model.train()
    with torch.no_grad():
        for _ in range(passes):
            model(make_input())
    return model.eval()


def vision(name, size=224, **options):
    import torchvision

    model = liven(getattr(torchvision.models, name)(weights=None, **options))
    settle(model, lambda: torch.randn(4, 3, size, size))
    return Case(model, (torch.randn(1, 3, size, size),))


def resnet18():
    case = vision("resnet18")
    case.dynamic_shapes = ({0: Dim("batch", min=1, max=16)},)
    case.args = (torch.randn(3, 3, 224, 224),)
    case.more = [((torch.randn(1, 3, 224, 224),), {})]
    return case


def mobilenet_v3_small():
    return vision("mobilenet_v3_small")


def efficientnet_b0():
    return vision("efficientnet_b0")


def vit_b_16():
    return vision("vit_b_16")


def convnext_tiny():
    return vision("convnext_tiny")


def swin_t():
    return vision("swin_t")


def densenet121():
    return vision("densenet121")


def regnet_y_400mf():
    return vision("regnet_y_400mf")


def deeplabv3():
    import torchvision

    class Picture(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
                weights=None, weights_backbone=None)

        def forward(self, x):
            return self.inner(x)["out"]

    model = settle(liven(Picture()), lambda: torch.randn(2, 3, 128, 128))
    return Case(model, (torch.randn(1, 3, 128, 128),))


class Hidden(torch.nn.Module):
    """A transformer that answers with one tensor."""

    def __init__(self, inner, pick):
        super().__init__()
        self.inner, self.pick = inner, pick

    def forward(self, input_ids, attention_mask):
        return self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)[self.pick]


def tokens(batch, length, padding=0):
    ids = torch.randint(0, 1000, (batch, length))
    mask = torch.ones(batch, length, dtype=torch.int64)
    if padding:
        mask[-1, -padding:] = 0
    return ids, mask


def bert():
    import transformers

    config = transformers.BertConfig(hidden_size=128, num_hidden_layers=3, num_attention_heads=4,
                                     intermediate_size=512, vocab_size=1000)
    model = Hidden(liven(transformers.BertModel(config)), 0)
    return Case(model, (), dict(zip(("input_ids", "attention_mask"), tokens(2, 64, padding=9))))


def gpt2():
    import transformers

    config = transformers.GPT2Config(n_embd=128, n_layer=3, n_head=4, vocab_size=1000, n_positions=256)
    model = Hidden(liven(transformers.GPT2LMHeadModel(config)), 0)
    return Case(model, (), dict(zip(("input_ids", "attention_mask"), tokens(2, 48))))


def llama():
    import transformers

    config = transformers.LlamaConfig(hidden_size=128, num_hidden_layers=2, num_attention_heads=4,
                                      num_key_value_heads=2, intermediate_size=256, vocab_size=1000)
    model = Hidden(liven(transformers.LlamaForCausalLM(config)), 0)
    return Case(model, (), dict(zip(("input_ids", "attention_mask"), tokens(2, 40))))


class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(24, 48, num_layers=2, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(96, 10)

    def forward(self, x):
        out, (h, c) = self.lstm(x)
        return self.head(out), h, c


def lstm():
    return Case(Recurrent(), (torch.randn(3, 17, 24),))


class Gated(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = torch.nn.GRU(16, 32, num_layers=2, batch_first=True)

    def forward(self, x):
        return self.gru(x)


def gru():
    return Case(Gated(), (torch.randn(2, 11, 16),))


class Found(torch.nn.Module):
    """Outputs whose sizes depend on the data."""

    def forward(self, x, mask):
        places = torch.nonzero(x > 0.5)
        kept = torch.masked_select(x, mask)
        rows = x[mask.any(1)]
        return places, kept, kept.sum(), rows * 2


def data_dependent():
    x = torch.randn(12, 9)
    none = torch.zeros(12, 9, dtype=torch.bool)
    # The sum of nothing is zero.
    return Case(Found(), (x, torch.rand(12, 9) > 0.6), more=[((x - 100, none), {})], trivial={"1.out2"})


class Branches(torch.nn.Module):
    """What a value decides: the predicates are bools."""

    def forward(self, x):
        chosen = torch.cond(x.sum() > 0, lambda x: x.sin() @ x.T, lambda x: x.cos() @ x.T, (x,))
        _, doubled = torch.ops.higher_order.while_loop(
            lambda i, y: (i < 3) & (y.abs().max() < 100), lambda i, y: (i + 1, y * 2), (torch.zeros((), dtype=torch.int64), x), ())
        return chosen, doubled


def branches():
    x = torch.randn(6, 6)
    return Case(Branches(), (x.abs(),), more=[((-x.abs(),), {}), ((x * 30,), {})])


class Ordered(torch.nn.Module):
    def forward(self, x):
        values, order = torch.sort(x, dim=1, descending=True, stable=True)
        top, where = torch.topk(x, 5, dim=-1)
        low, low_where = torch.topk(x, 3, dim=0, largest=False)
        # Of a sort that is not stable only the values are told: equal elements, of which there are some in 16 bits,
        # may come in any order.
        return (values, order, top, where, low, low_where, torch.cumsum(x, 0), torch.sort(x, dim=0).values,
                torch.argsort(x, dim=0, stable=True))


def sort_topk():
    return Case(Ordered(), (torch.randn(33, 70),))


class Cache(torch.nn.Module):
    """Attention over a cache that each run writes one more place of."""

    def __init__(self):
        super().__init__()
        self.project = torch.nn.Linear(32, 96)
        self.register_buffer("keys", torch.randn(1, 4, 64, 8))
        self.register_buffer("values", torch.randn(1, 4, 64, 8))

    def forward(self, x, at):
        q, k, v = self.project(x).view(1, 1, 3, 4, 8).permute(2, 0, 3, 1, 4)
        self.keys.index_copy_(2, at, k)
        self.values.index_copy_(2, at, v)
        seen = torch.arange(64) <= at
        out = torch.nn.functional.scaled_dot_product_attention(q, self.keys, self.values,
                                                               attn_mask=seen.view(1, 1, 1, 64))
        return out, self.keys.sum(-1)


def cache():
    return Case(Cache(), (torch.randn(1, 1, 32), torch.tensor([17])),
                more=[((torch.randn(1, 1, 32), torch.tensor([18])), {})])


class Scattered(torch.nn.Module):
    def forward(self, x, index, source):
        put = x.clone()
        put[index[0]] = source[0]
        return (x.scatter(1, index, source), x.scatter_add(1, index, source),
                x.scatter_reduce(1, index, source, "amax"), put,
                torch.cumprod(x, 1), x[index[:, 0], index[:, 1]], torch.repeat_interleave(x, 2, 0))


def scatter():
    return Case(Scattered(), (torch.randn(6, 8), torch.randint(0, 6, (6, 8)), torch.randn(6, 8)))


class Words(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = torch.nn.EmbeddingBag(100, 16, mode="mean")
        self.register_buffer("edges", torch.linspace(-1, 1, 9))

    def forward(self, ids, offsets, x):
        return self.bag(ids, offsets), torch.bucketize(x, self.edges), torch.searchsorted(self.edges, x)


def words():
    return Case(Words(), (torch.randint(0, 100, (30,)), torch.tensor([0, 4, 4, 19]), torch.randn(5, 7)))


class Pools(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv1d(4, 8, 5, padding=2)
        self.up = torch.nn.ConvTranspose2d(8, 6, 3, stride=2, dilation=2)
        self.deep = torch.nn.Conv3d(2, 4, 3, groups=2)
        self.unpool = torch.nn.MaxUnpool2d(2)

    def forward(self, line, picture, block):
        pooled, where = torch.nn.functional.max_pool2d(picture, 3, 2, 1, return_indices=True)
        return (self.first(line), self.up(picture), self.deep(block), pooled, where,
                torch.nn.functional.adaptive_avg_pool2d(picture, (3, 5)),
                torch.nn.functional.adaptive_max_pool2d(picture, (4, 3)),
                torch.nn.functional.avg_pool3d(block, 2),
                torch.nn.functional.pad(picture, (1, 2, 2, 1), mode="reflect"),
                torch.nn.functional.pad(picture, (1, 2, 2, 1), mode="replicate"))


def pools():
    return Case(Pools(), (torch.randn(2, 4, 30), torch.randn(2, 8, 14, 17), torch.randn(2, 2, 8, 9, 10)))


class Waves(torch.nn.Module):
    """Complex numbers by their views, as rotary embeddings have them."""

    def forward(self, x, angle):
        turn = torch.polar(torch.ones_like(angle), angle)
        turned = torch.view_as_complex(x.view(*x.shape[:-1], -1, 2)) * turn
        return torch.view_as_real(turned), turned.abs()


def waves():
    return Case(Waves(), (torch.randn(3, 5, 8), torch.randn(5, 4)))


def in_dtype(make, dtype):
    """The same model and floating-point inputs in another dtype."""
    def made():
        case = make()
        case.model = case.model.to(FLOATS[dtype])

        def cast(value):
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                return value.to(FLOATS[dtype])
            return value

        case.args = tuple(cast(value) for value in case.args)
        case.kwargs = {name: cast(value) for name, value in case.kwargs.items()}
        case.more = [(tuple(cast(v) for v in args), {n: cast(v) for n, v in kwargs.items()})
                     for args, kwargs in case.more]
        return case

    return made


NAMED = [resnet18, mobilenet_v3_small, efficientnet_b0, vit_b_16, bert, gpt2, lstm, data_dependent, branches, sort_topk,
         cache, scatter, words, pools, waves]
MORE = [convnext_tiny, swin_t, densenet121, regnet_y_400mf, deeplabv3, llama, gru]

SHORT = {make.__name__: make for make in NAMED}
SHORT |= {f"{make.__name__}.{dtype}": in_dtype(make, dtype)
          for make, dtype in [(resnet18, "bfloat16"), (efficientnet_b0, "bfloat16"), (bert, "bfloat16"),
                              (gpt2, "bfloat16"), (lstm, "bfloat16"), (cache, "float64"),
                              (bert, "float16"), (sort_topk, "float64"), (pools, "float64")]}
FULL = SHORT | {make.__name__: make for make in MORE}
FULL |= {f"{make.__name__}.bfloat16": in_dtype(make, "bfloat16")
         for make in [mobilenet_v3_small, vit_b_16, sort_topk, pools, scatter, cache]}

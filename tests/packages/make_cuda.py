"""Makes the small CUDA test packages, with inputs and with libtorch's own outputs. Needs a GPU.

    CXX=/usr/bin/g++ python tests/packages/make_cuda.py OUT [NAME...]

As make.py beside it, whose Case and form of files it uses. The kernels are for the GPU that it runs on.
The model libraries need the glibc of the machine that compiled them: relink_cuda.py makes them
anew for an older one.
"""

import os
import shutil
import sys

import make
import torch
from make import Add, Case, Folded
from torch.export import Dim
from torch.utils._pytree import tree_map

CUDA = {}


def case(model, args, **more):
    more.setdefault("configs", {})
    return Case(model, args, **more)


class Call(torch.nn.Module):
    """A model without weights."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def add():
    return case(Add(), (torch.randn(8, 64), torch.randn(8, 64)))


def mlp():
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.GELU(), torch.nn.Linear(32, 10))
    return case(model, (torch.randn(8, 64),), dynamic_shapes=({0: Dim("batch", min=1, max=64)},))


def mlp16():
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.GELU(), torch.nn.Linear(32, 10)).half()
    return case(model, (torch.randn(8, 64).half(),))


def fatbin():
    made = mlp()
    made.configs = {"aot_inductor.emit_multi_arch_kernel": True}
    return made


def embedded():
    made = mlp()
    made.configs = {"aot_inductor.embed_kernel_binary": True}
    return made


def blob():
    made = mlp()
    made.configs = {
        "aot_inductor.package_constants_in_so": False,
        "aot_inductor.package_constants_on_disk_format": "binary_blob",
    }
    return made


def folded():
    return case(Folded(), (torch.randn(4, 16),), configs={"aot_inductor.use_runtime_constant_folding": True})


def conv():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, groups=8, stride=2),
        torch.nn.ConvTranspose2d(8, 4, 2, stride=2))
    return case(model, (torch.randn(2, 3, 16, 16),))


def conv16():
    made = conv()
    made.model.half()
    made.args = (made.args[0].half(),)
    return made


def conv1d3d():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = torch.nn.Conv1d(4, 6, 3, dilation=2, padding=2)
            self.three = torch.nn.Conv3d(2, 3, 3, padding=1)

        def forward(self, x, y):
            return self.one(x), self.three(y)

    return case(Two(), (torch.randn(2, 4, 20), torch.randn(1, 2, 5, 6, 7)))


def matmuls():
    def products(a, b, c, d):
        return a @ b, torch.bmm(c, d), torch.baddbmm(c, c, d, beta=0.5, alpha=2.0), a.double() @ b.double()

    return case(Call(products),
                (torch.randn(5, 7), torch.randn(7, 5), torch.randn(3, 6, 6), torch.randn(3, 6, 6)))


def attention(dtype=torch.float32, causal=False, masked=False):
    def attend(q, k, v, *mask):
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask[0] if mask else None, is_causal=causal)

    shape = (2, 4, 24, 32)
    args = tuple(torch.randn(*shape).to(dtype) for _ in range(3))
    if masked:
        args += (torch.randn(2, 1, 24, 24).to(dtype),)
    return case(Call(attend), args)


def attention16():
    return attention(torch.float16)


def attention_causal():
    return attention(causal=True)


def attention_masked():
    return attention(masked=True)


def order():
    def ordered(x):
        return (*torch.topk(x, 5), *torch.sort(x, descending=True, stable=True), torch.cumsum(x, -1),
                torch.cumprod(x, 0))

    return case(Call(ordered), (torch.randn(4, 100),))


def selection():
    def select(x, t):
        rows = torch.nonzero(x > t).squeeze(1)
        return x[rows], rows, torch.masked_select(x, x < t)

    return case(Call(select), (torch.randn(100), torch.tensor(0.0)))


def indexing():
    def index(x, rows, values):
        first = x.index_put((rows,), values, accumulate=True)
        second = torch.scatter(x, 1, rows.view(4, 1).expand(4, 3) % x.shape[1], values[:, :3])
        third = torch.scatter_reduce(x, 1, rows.view(4, 1) % x.shape[1], values[:, :1], "amax")
        return first, second, third, x[rows]

    return case(Call(index), (torch.randn(6, 8), torch.tensor([0, 3, 3, 5]), torch.randn(4, 8)))


def search():
    def find(edges, x, counts):
        return torch.searchsorted(edges, x), torch.bucketize(x, edges), torch.repeat_interleave(counts)

    return case(Call(find),
                (torch.sort(torch.randn(10))[0], torch.randn(3, 4), torch.tensor([1, 0, 3, 2])))


def pooling():
    def pool(x):
        functional = torch.nn.functional
        return (functional.max_pool2d(x, 3, 2, 1), functional.avg_pool2d(x, 5, 2),
                functional.adaptive_avg_pool2d(x, 3), functional.adaptive_max_pool2d(x, 3),
                functional.pad(x, (1, 2, 1, 0), mode="reflect"))

    return case(Call(pool), (torch.randn(2, 3, 17, 19),))


def embedding_bag():
    class Bag(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bag = torch.nn.EmbeddingBag(20, 8, mode="mean")

        def forward(self, ids, offsets):
            return self.bag(ids, offsets)

    return case(Bag(), (torch.randint(0, 20, (12,)), torch.tensor([0, 4, 9])))


def lstm():
    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(8, 16, 2, batch_first=True)
            self.cell = torch.nn.LSTMCell(8, 16)

        def forward(self, x):
            return (*self.lstm(x)[:1], *self.cell(x[:, 0]))

    return case(Recurrent(), (torch.randn(2, 6, 8),))


class Cache(torch.nn.Module):
    """Adds to a buffer of its own and to an input, both in place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(4))

    def forward(self, x, cache):
        self.count.add_(1)
        cache.add_(x)
        return x + self.count, cache * 2


def inplace():
    return case(Cache(), (torch.randn(4), torch.randn(4)))


class Aliases(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        return x, self.weight, x.t(), x + 1

    
def aliases():
    return case(Aliases(), (torch.randn(4, 4),))


def item():
    """A number on the device that the host reads to go on."""
    def repeat(x, n):
        count = n.item()
        torch._check(count >= 1)
        torch._check(count <= 8)
        return x.repeat(count, 1), x * count

    return case(Call(repeat), (torch.randn(3), torch.tensor(3)))


def host_input():
    """One input on the host, one on the device."""
    def mix(x, scale):
        return x * scale

    made = case(Call(mix), (torch.randn(8), torch.tensor(2.0)))
    made.stays = 1
    return made


def random():
    def noise(x):
        return x + torch.rand_like(x)

    return case(Call(noise), (torch.randn(32),))


def gpt():
    """A block of attention and a perceptron, with a causal mask, over token numbers."""
    class Block(torch.nn.Module):
        def __init__(self, width=32, heads=2):
            super().__init__()
            self.heads = heads
            self.embed = torch.nn.Embedding(50, width)
            self.qkv = torch.nn.Linear(width, 3 * width)
            self.out = torch.nn.Linear(width, width)
            self.norm = torch.nn.LayerNorm(width)
            self.mlp = torch.nn.Sequential(torch.nn.Linear(width, 64), torch.nn.GELU(), torch.nn.Linear(64, width))
            self.head = torch.nn.Linear(width, 50)

        def forward(self, tokens):
            x = self.embed(tokens)
            batch, length, width = x.shape
            q, k, v = self.qkv(self.norm(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            attended = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(attended.transpose(1, 2).reshape(batch, length, width))
            return self.head(x + self.mlp(self.norm(x)))

    return case(Block(), (torch.randint(0, 50, (2, 12)),))


CASES = [add, mlp, mlp16, fatbin, embedded, blob, folded, conv, conv16, conv1d3d, matmuls, attention, attention16,
         attention_causal, attention_masked, order, selection, indexing, search, pooling, embedding_bag, lstm,
         inplace, aliases, item, host_input, random, gpt]


def on_gpu(made):
    stays = getattr(made, "stays", None)
    made.model = made.model.eval().cuda()
    made.args = tuple(arg if i == stays else tree_map(lambda t: t.cuda(), arg) for i, arg in enumerate(made.args))
    return made


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    out = sys.argv[1]
    makers = {maker.__name__: maker for maker in CASES}
    os.makedirs(out, exist_ok=True)
    failed = []
    try:
        with torch.no_grad():
            for name in sys.argv[2:] or makers:
                print("making", name, flush=True)
                torch.manual_seed(0)
                try:
                    make.make_case(out, name, on_gpu(makers[name]()))
                except Exception as error:
                    failed.append(name)
                    print(f"{name} failed: {type(error).__name__}: {error}", flush=True)
    finally:
        shutil.rmtree(make.scratch, ignore_errors=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""The same networks in PyTorch, for the benchmark to compare with. Nothing else here imports PyTorch.

ResNet with the improved residual unit (the paper's Sec. 3.1), known as iresnet, and MobileFaceNet (Chen et al. 2018).
Modules bear the names of our symbols' layers, so that `parameters` gives ours by name and shape.
"""
import math
import time

import torch
from torch import nn
from torch.nn import functional

from recognition.config.networks import DEFAULTS, NETWORKS
from tools.benchmarking.contenders import drawn, drawn_images

# Units in each of the four stages.
UNITS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
FORMATS = (torch.contiguous_format, torch.channels_last)
BOUND = 1 - 1e-7  # arccos has no finite gradient at 1


def scaled(data):
    """Return images of 0…255 brought to −1…1."""
    return (data - 127.5) * 0.0078125


def batch_norm(channels, eps, dimensions=2):
    return (nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm1d)(channels, eps=eps, momentum=0.1)


def embedding_norm(emb_size):
    """Return the batch normalisation that an embedding ends in, its scale fixed at 1."""
    norm = batch_norm(emb_size, 2e-5, dimensions=1)
    norm.weight.requires_grad_(False)
    return norm


class Unit(nn.Module):
    """BN-conv-BN-PReLU-conv-BN, added to the input."""

    def __init__(self, before, filters, stride):
        super().__init__()
        self.bn1 = batch_norm(before, 2e-5)
        self.conv1 = nn.Conv2d(before, filters, 3, 1, 1, bias=False)
        self.bn2 = batch_norm(filters, 2e-5)
        self.relu1 = nn.PReLU(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, stride, 1, bias=False)
        self.bn3 = batch_norm(filters, 2e-5)
        if stride > 1:
            self.conv1sc = nn.Conv2d(before, filters, 1, stride, bias=False)
            self.sc = batch_norm(filters, 2e-5)
        self.halves = stride > 1

    def forward(self, data):
        body = self.relu1(self.bn2(self.conv1(self.bn1(data))))
        body = self.bn3(self.conv2(body))
        return body + (self.sc(self.conv1sc(data)) if self.halves else data)


class IResNet(nn.Module):
    """ResNet for faces with the output E, BN-Dropout-FC-BN."""

    def __init__(self, num_layers, emb_size):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn0 = batch_norm(64, 2e-5)
        self.relu0 = nn.PReLU(64)
        self.units, before = [], 64
        for stage, (units, filters) in enumerate(zip(UNITS[num_layers], (64, 128, 256, 512)), 1):
            for number in range(1, units + 1):
                self.units.append(f"stage{stage}_unit{number}")
                self.add_module(self.units[-1], Unit(before, filters, stride=2 if number == 1 else 1))
                before = filters
        self.bn1 = batch_norm(512, 2e-5)
        self.dropout = nn.Dropout(0.4)
        self.pre_fc1 = nn.Linear(512 * 7 * 7, emb_size)
        self.fc1 = embedding_norm(emb_size)

    def forward(self, data):
        body = self.relu0(self.bn0(self.conv0(scaled(data))))
        for name in self.units:
            body = getattr(self, name)(body)
        return self.fc1(self.pre_fc1(torch.flatten(self.dropout(self.bn1(body)), 1)))


class Conv(nn.Module):
    """Convolution, batch normalisation and, unless `linear`, PReLU."""

    def __init__(self, before, filters, kernel=1, stride=1, padding=None, groups=1, linear=False):
        super().__init__()
        self.conv2d = nn.Conv2d(before, filters, kernel, stride, kernel // 2 if padding is None else padding,
                                groups=groups, bias=False)
        self.batchnorm = batch_norm(filters, 1e-3)
        self.relu = nn.Identity() if linear else nn.PReLU(filters)

    def forward(self, data):
        return self.relu(self.batchnorm(self.conv2d(data)))


class Bottleneck(nn.Module):
    """Wider, depthwise, narrower: an inverted residual, added to the input where `residual`."""

    def __init__(self, before, expanded, filters, stride=1, residual=False):
        super().__init__()
        self.conv_sep = Conv(before, expanded)
        self.conv_dw = Conv(expanded, expanded, 3, stride, groups=expanded)
        self.conv_proj = Conv(expanded, filters, linear=True)
        self.residual = residual

    def forward(self, data):
        body = self.conv_proj(self.conv_dw(self.conv_sep(data)))
        return body + data if self.residual else body


class MobileFaceNet(nn.Module):
    """MobileFaceNet with the output GDC; `net_blocks` are the residual blocks of its four stages."""

    def __init__(self, net_blocks, emb_size):
        super().__init__()
        self.layers = []

        def add(name, layer):
            self.layers.append(name)
            self.add_module(name, layer)

        def residuals(stage, count, expanded, filters):
            for number in range(count):
                add(f"res_{stage}_block{number}", Bottleneck(filters, expanded, filters, residual=True))

        add("conv_1", Conv(3, 64, 3, 2))
        if net_blocks[0] == 1:
            add("conv_2_dw", Conv(64, 64, 3, groups=64))
        else:
            residuals(2, net_blocks[0], 64, 64)
        add("dconv_23", Bottleneck(64, 128, 64, 2))
        residuals(3, net_blocks[1], 128, 64)
        add("dconv_34", Bottleneck(64, 256, 128, 2))
        residuals(4, net_blocks[2], 256, 128)
        add("dconv_45", Bottleneck(128, 512, 128, 2))
        residuals(5, net_blocks[3], 256, 128)
        add("conv_6sep", Conv(128, 512))
        add("conv_6dw7_7", Conv(512, 512, 7, padding=0, groups=512, linear=True))
        self.pre_fc1 = nn.Linear(512, emb_size)
        self.fc1 = embedding_norm(emb_size)

    def forward(self, data):
        body = scaled(data)
        for name in self.layers:
            body = getattr(self, name)(body)
        return self.fc1(self.pre_fc1(torch.flatten(body, 1)))


def build(network):
    """Return a network of `recognition.config.networks` as a PyTorch module: r50, r100, y1 or y2."""
    settings = {**DEFAULTS, **NETWORKS[network]}
    if settings["net_name"] == "fresnet":
        return IResNet(settings["num_layers"], settings["emb_size"])
    return MobileFaceNet(settings["net_blocks"], settings["emb_size"])


def parameters(network):
    """Return the parameters and running statistics of a network as {name in our symbols: tensor}."""
    found = {}
    for path, layer in network.named_modules():
        name = path.replace(".", "_")
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            found.update({f"{name}_gamma": layer.weight, f"{name}_beta": layer.bias,
                          f"{name}_moving_mean": layer.running_mean, f"{name}_moving_var": layer.running_var})
        elif isinstance(layer, nn.PReLU):
            found[f"{name}_gamma"] = layer.weight
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            found[f"{name}_weight"] = layer.weight
            if layer.bias is not None:
                found[f"{name}_bias"] = layer.bias
    return found


def fill(network, value):
    """Set every parameter and running statistic of a network to `value(name, shape)`, a NumPy array."""
    with torch.no_grad():
        for name, tensor in parameters(network).items():
            tensor.copy_(torch.from_numpy(value(name, tuple(tensor.shape))))


class ArcFace(nn.Module):
    """The head of Algorithm 1: scaled cosines, with the margin added to the target's angle."""

    def __init__(self, emb_size, num_classes, s=64.0, m=0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.normal(0.0, 0.01, (num_classes, emb_size)))
        self.s, self.m = s, m

    def forward(self, embedding, label):
        cosine = functional.linear(functional.normalize(embedding), functional.normalize(self.weight))
        target = cosine.gather(1, label[:, None])
        marginal = torch.cos(torch.acos(target.clamp(-BOUND, BOUND)) + self.m)
        return self.s * cosine.scatter(1, label[:, None], marginal)


def _faster(make):
    """Return the step that `make(memory_format)` gives, in whichever of PyTorch's memory formats is faster here."""
    best = (math.inf, None)
    for memory_format in FORMATS:
        step = make(memory_format)
        step()
        begun = time.perf_counter()
        step()
        best = min(best, (time.perf_counter() - begun, step), key=lambda timed: timed[0])
    return best[1]


def train(network, batch, classes, compiled=False):
    """Return a function that trains one step on drawn images, with SGD as in the paper's Sec. 3.1.

    With `compiled`, torch.compile makes kernels of the network first, which takes minutes.
    """
    images = torch.from_numpy(drawn_images(batch).transpose(0, 3, 1, 2).astype("float32"))
    label = torch.arange(batch) % classes

    def make(memory_format):
        torch.manual_seed(0)
        model = build(network).train().to(memory_format=memory_format)
        head = ArcFace(model.fc1.num_features, classes)
        body = torch.compile(model) if compiled else model
        trained = [weight for weight in [*model.parameters(), *head.parameters()] if weight.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, weight_decay=5e-4)
        data = images.contiguous(memory_format=memory_format)

        def step():
            optimizer.zero_grad()
            functional.cross_entropy(head(body(data), label), label).backward()
            optimizer.step()
        return step
    return _faster(make)


def embed(network, batch):
    """Return a function that embeds one batch of drawn images: uint8 (B, H, W, 3) → float32 (B, D)."""
    images = drawn_images(batch)

    def make(memory_format):
        model = build(network).eval()
        fill(model, drawn)
        model = model.to(memory_format=memory_format)

        def step():
            with torch.inference_mode():
                data = torch.from_numpy(images).permute(0, 3, 1, 2).float()
                return model(data.contiguous(memory_format=memory_format)).numpy()
        return step
    return _faster(make)

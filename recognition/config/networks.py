"""The networks by their command-line names, each as the settings in which it differs from the defaults."""
import symbols

DEFAULTS = {**symbols.DEFAULTS, "net_blocks": list(symbols.DEFAULTS["net_blocks"])}
"""The settings of a network and their defaults, which are those of `symbols.get_symbol`."""

NETWORKS = {
    "r100": {"net_name": "fresnet", "num_layers": 100},
    "r50": {"net_name": "fresnet", "num_layers": 50},
    "r100fc": {"net_name": "fresnet", "num_layers": 100, "net_output": "FC"},
    "r50v1": {"net_name": "fresnet", "num_layers": 50, "net_unit": 1},
    "d169": {"net_name": "fdensenet", "num_layers": 169, "per_batch_size": 64, "densenet_dropout": 0.0},
    "d201": {"net_name": "fdensenet", "num_layers": 201, "per_batch_size": 64, "densenet_dropout": 0.0},
    "y1": {"net_name": "fmobilefacenet", "emb_size": 128, "net_output": "GDC", "net_blocks": [1, 4, 6, 2]},
    "y2": {"net_name": "fmobilefacenet", "emb_size": 256, "net_output": "GDC", "net_blocks": [2, 8, 16, 4]},
    "m1": {"net_name": "fmobilenet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 1.0},
    "m05": {"net_name": "fmobilenet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 0.5},
    "mnas": {"net_name": "fmnasnet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 1.0},
    "mnas05": {"net_name": "fmnasnet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 0.5},
    "mnas025": {"net_name": "fmnasnet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 0.25},
    "vargfacenet": {"net_name": "vargfacenet", "emb_size": 512, "net_output": "J", "net_multiplier": 1.25},
}


def network_settings(config):
    """Return the settings that `symbols.get_symbol` takes."""
    return {name: config[name] for name in DEFAULTS}

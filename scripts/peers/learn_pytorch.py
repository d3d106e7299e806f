#!/usr/bin/env python3
"""Trains the model of preset seed-small in PyTorch from given weights on the batches that stepscope draws from a text.

    learn_pytorch.py --weights init.safetensors --text kjv.txt --rates loss.csv --out pytorch.csv

The model is scripts/golden/reference.py in fp32 with torch.optim.Adam; learning rates are those of a stepscope loss.csv. The batch of
step t is worked out here from its description alone (model/training/data_stream.h and stream_rows.h): row r begins at byte
floor(bits * offsets / 2^64), bits the first two words of Philox4x32-10 with key (seed, seed >> 32 ^ 0xda7a0001) and counter
(0, r, t, 0), offsets the bytes before the last tenth less a row. Needs torch, numpy and safetensors.
"""
import argparse
import csv
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import load_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
import reference  # noqa: E402

TRAINING = 0xDA7A0001


def philox(key, counter):
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [second >> 32 ^ counter[1] ^ key[0], second & 0xFFFFFFFF, first >> 32 ^ counter[3] ^ key[1], first & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def batch(text, seed, step, rows, sequence):
    """tokens and targets [rows, sequence]: each row begins anywhere in the first nine tenths."""
    offsets = len(text) - max(len(text) // 10, sequence + 1) - sequence
    begins = []
    for row in range(rows):
        words = philox([seed & 0xFFFFFFFF, seed >> 32 ^ TRAINING], [0, row, step, 0])
        begins.append((words[0] << 32 | words[1]) * offsets >> 64)
    window = np.stack([text[begin:begin + sequence + 1] for begin in begins]).astype(np.int64)
    return {"tokens": torch.from_numpy(window[:, :-1]), "targets": torch.from_numpy(window[:, 1:])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--rates", required=True, help="a loss.csv of stepscope train: its learning rates, a row a step")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    case = {"layers": 4, "heads": 4, "mask": ["causal"]}
    weights = {name.removeprefix("updated."): torch.from_numpy(value).requires_grad_()
               for name, value in load_file(options.weights).items() if name.startswith("updated.")}
    adam = torch.optim.Adam(weights.values(), lr=0.0, betas=(0.9, 0.999), eps=1e-8)
    text = np.frombuffer(pathlib.Path(options.text).read_bytes(), dtype=np.uint8)
    with open(options.rates, newline="") as stream:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(stream)]
    rows = []
    for step, rate in enumerate(rates):
        data = batch(text, options.seed, step, rows=8, sequence=128)
        logits = reference.forward(case, weights, data)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), data["targets"].flatten())
        adam.zero_grad()
        loss.backward()
        adam.param_groups[0]["lr"] = rate
        adam.step()
        rows.append((step + 1, loss.item()))
        if (step + 1) % 100 == 0:
            print(f"PyTorch: step {step + 1}/{len(rates)} · loss {loss.item():.4f}", flush=True)
    with open(options.out, "w", newline="") as stream:
        csv.writer(stream).writerows([("step", "loss"), *rows])


if __name__ == "__main__":
    main()

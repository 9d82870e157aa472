"""What the study of signed tickets computes: a method of ``Study`` for each kind of job, with its file."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.ownership.nulls import KEYS_PER_PART, WRONG_KEYS, read_stranger, read_wrong_keys
from benchmarks.ownership.settings import OPTIONS, SECRET, SETTINGS, Setting
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.images.splits_file import load_splits
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.ownership.attacks import ATTACKS
from lottery_pipeline.ownership.attacks.comparison import train_compared
from lottery_pipeline.ownership.attacks.trials import QrVictim, run_trials
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.claims import Claim, open_as_owner
from lottery_pipeline.ownership.commitment import Owner, commit_ticket, find_secrets
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.keys import OwnerKey
from lottery_pipeline.ownership.qr_code import make_symbol
from lottery_pipeline.ownership.qr_signature import Position, embed_symbol
from lottery_pipeline.ownership.release import check_release, write_release
from lottery_pipeline.ownership.signing import find_trigger_root, publish_ticket, sign_ticket, train_signed
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity import keep_top_k
from lottery_pipeline.tickets import Ticket
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.dense_file import load_dense_run, save_dense_run
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate

TEXT = "signature"

Row = dict[str, Any]


class Study:
    """The files of one setting, and what is made from them.

    Args:
        name: of the setting.
        work: folder of everything that is computed.
        device: where networks are trained.
    """

    def __init__(self, name: str, work: Path, device: str) -> None:
        self.setting: Setting = SETTINGS[name]
        self.folder, self.device = work / name, device

    @property
    def owner(self) -> Owner:
        """The owner of all tickets of the study."""
        key = OwnerKey(Ed25519PrivateKey.from_private_bytes(SECRET), SECRET)
        return Owner(key, self.folder / f"log_{os.getpid()}.jsonl")

    def images(self) -> ImageSplits:
        """The prepared images."""
        return _load_images(self.folder / "images.safetensors")

    def dense(self, seed: int) -> DenseRun:
        """Train the dense network, or read it."""
        path = self.folder / f"dense_{seed}.safetensors"
        if not path.exists():
            images = self.images()
            spec = ModelSpec(
                name="resnet20",
                num_classes=images.num_classes,
                channels=images.channels,
                image_size=images.image_size,
                mean=images.mean,
                std=images.std,
            )
            run = pretrain(
                images,
                spec,
                self.setting.recipe,
                rewind_epoch=self.setting.rewind_epoch,
                seed=seed,
                device=self.device,
            )
            save_dense_run(run, path)
        return load_dense_run(path)

    def ticket(self, density: float, seed: int) -> Ticket:
        """The unmarked ticket: the largest final weights, from the rewind point."""
        dense = self.dense(seed)
        images = self.images()
        names = [name for name, tensor in dense.final.items() if name.endswith("weight") and tensor.dim() > 1]
        scores = {name: dense.final[name].abs() for name in names}
        total = sum(score.numel() for score in scores.values())
        return make_ticket(
            method="magnitude",
            spec=dense.spec,
            masks=keep_top_k(scores, int(density * total)),
            state=dense.rewind,
            seed=seed,
            rewind_step=dense.rewind_step,
            steps_per_epoch=dense.steps_per_epoch,
            parents={"dense": dense.fingerprint, "images": images.fingerprint},
        )

    def claim(self, density: float, seed: int) -> Claim:
        """Sign the ticket and train it, or read its release."""
        folder = self.folder / f"signed_{density:g}_{seed}"
        if not (folder / "credential.json").exists():
            ticket, images, owner = self.ticket(density, seed), self.images(), self.owner
            bundle = commit_ticket(
                ticket, owner, OPTIONS, find_trigger_root=lambda s: find_trigger_root(s, images, OPTIONS)
            )
            secrets = find_secrets(owner.key, bundle.commitment)
            began = time.perf_counter()
            signed, _, edits = sign_ticket(
                ticket,
                self.dense(seed),
                images,
                bundle,
                secrets.mask_key,
                OPTIONS,
                seed=seed,
                device=self.device,
            )
            embedding = time.perf_counter() - began
            trained = train_signed(
                signed, images, self.setting.recipe, bundle, owner.key, OPTIONS, seed=seed, device=self.device
            )
            accuracy = self.measure(trained.ticket)
            bundle = publish_ticket(trained.ticket, bundle, owner, accuracy=accuracy)
            self.note(
                f"signed_{density:g}_{seed}",
                {
                    "what": "signed",
                    "density": density,
                    "seed": seed,
                    "accuracy": accuracy,
                    "edits": edits,
                    "kept": ticket.kept,
                    "embedding_seconds": embedding,
                    "training_seconds": trained.seconds,
                },
            )
            write_release(folder, trained.ticket.to_bytes(), bundle)
        return Claim(check_release(folder), Ticket.load(folder / "ticket.safetensors"))

    def compared(self, density: float, seed: int) -> tuple[Ticket, QrVictim | None]:
        """Train the same ticket with a QR code, or without any mark where there is no room; or read it."""
        path = self.folder / f"compared_{density:g}_{seed}.safetensors"
        images = self.images()
        if not path.exists() and not has_room(self.ticket(density, seed)):
            return self.unsigned(density, seed), None
        if not path.exists():
            ticket, found = train_compared(
                self.ticket(density, seed),
                self.dense(seed),
                images,
                self.setting.recipe,
                TEXT,
                seed=seed,
                device=self.device,
            )
            place = (
                None if found is None else [found.position.layer, found.position.row, found.position.column]
            )
            row = {"what": "compared", "density": density, "seed": seed, "accuracy": self.measure(ticket)}
            self.note(path.stem, {**row, "position": place})
            ticket.save(path)
        ticket = Ticket.load(path)
        position = json.loads((self.folder / "rows" / f"{path.stem}.json").read_text())["position"]
        victim = Victim(ticket, self.limit(images), self.setting.recipe, seed, self.device)
        return ticket, position and QrVictim(victim, make_symbol(TEXT), Position(*position), TEXT)

    def unsigned(self, density: float, seed: int) -> Ticket:
        """Train the ticket without any mark, or read it."""
        path = self.folder / f"unsigned_{density:g}_{seed}.safetensors"
        if not path.exists():
            trained = retrain_ticket(
                self.ticket(density, seed), self.images(), self.setting.recipe, seed=seed, device=self.device
            )
            accuracy = self.measure(trained.ticket)
            row = {"what": "unsigned", "density": density, "seed": seed, "accuracy": accuracy}
            self.note(path.stem, {**row, "training_seconds": trained.seconds})
            trained.ticket.save(path)
        return Ticket.load(path)

    def attack(self, name: str, density: float, seed: int) -> None:
        """Run one attack on a signed ticket, unless it has been."""
        stem = f"attack_{name}_{density:g}_{seed}"
        if (self.folder / "rows" / f"{stem}.json").exists():
            return
        claim, images = self.claim(density, seed), self.images()
        other, compared = self.compared(density, seed)
        opened = open_as_owner(claim, self.owner.key, images, OPTIONS)
        path = self.folder / "other.safetensors"
        victim = Victim(
            claim.ticket,
            self.limit(images),
            self.setting.recipe,
            seed,
            self.device,
            other_images=_load_images(path) if path.exists() else None,
            other=other,
            insider=opened.mask_key,
        )
        grid = "full" if name in self.setting.full.get((density, seed), ()) else "quick"
        rows = list(
            run_trials([ATTACKS[name]], victim, claim, opened, grid=grid, seeds=(seed,), compared=compared)
        )
        self.note(stem, {"what": "attacks", "density": density, "ticket_seed": seed, "rows": rows})

    def limit(self, images: ImageSplits) -> ImageSplits:
        """Leave an attacker as many images as the setting gives him."""
        if self.setting.attacker is None:
            return images
        parts = {}
        for part, count in zip(("train", "test"), self.setting.attacker, strict=True):
            whole = getattr(images, part)
            chosen = torch.randperm(len(whole), generator=make_generator(0, "attacker", part))[:count]
            parts[part] = ImageSet(whole.images[chosen], whole.labels[chosen])
        return replace(images, **parts)

    def strangers(self, density: float, seed: int) -> None:
        """Look for the mark, with its true key, in every network that does not have it."""
        stem = f"strangers_{density:g}_{seed}"
        if (self.folder / "rows" / f"{stem}.json").exists():
            return
        claim = self.claim(density, seed)
        networks = {f"dense {other}": self.dense(other).final for other in self.setting.seeds}
        for other_density in self.setting.densities:
            for other in self.setting.seeds:
                name = f"{other_density:g} {other}"
                networks[f"unsigned {name}"] = self.unsigned(other_density, other).state
                if (other_density, other) != (density, seed):
                    networks[f"signed by another key {name}"] = self.claim(other_density, other).ticket.state
        rows = [read_stranger(claim, self.owner.key, name, state) for name, state in networks.items()]
        self.note(stem, {"what": "strangers", "density": density, "seed": seed, "rows": rows})

    def wrong_keys(self, density: float, seed: int, part: int) -> None:
        """Look for marks of wrong keys in the signed network."""
        stem = f"wrong_keys_{density:g}_{seed}_{part}"
        if (self.folder / "rows" / f"{stem}.json").exists():
            return
        found = read_wrong_keys(
            self.claim(density, seed), range(part * KEYS_PER_PART, (part + 1) * KEYS_PER_PART)
        )
        self.note(stem, {"what": "wrong keys", "density": density, "seed": seed, **found})

    def measure(self, ticket: Ticket) -> float:
        """Return the accuracy on the test images."""
        place = pick_device(self.device)
        return evaluate(ticket.build(place), self.images().test, device=place)["accuracy"]

    def note(self, stem: str, row: Row) -> None:
        """Leave a row on disk."""
        write_atomically(self.folder / "rows" / f"{stem}.json", json.dumps(row).encode())

    def jobs(self) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
        """List what is to be done; those of one list do not need each other."""
        tickets = [(density, seed) for seed in self.setting.seeds for density in self.setting.densities]
        yield [("dense", (seed,)) for seed in self.setting.seeds]
        yield [(what, ticket) for ticket in tickets for what in ("claim", "unsigned")]
        yield [("compared", ticket) for ticket in tickets]
        yield [("strangers", ticket) for ticket in tickets]
        density, seed = tickets[-1]
        yield [("wrong_keys", (density, seed, part)) for part in range(WRONG_KEYS // KEYS_PER_PART)]
        full = [ticket for ticket in tickets if ticket in self.setting.full]
        rest = [ticket for ticket in tickets if ticket not in self.setting.full]
        yield [("attack", (name, *ticket)) for ticket in (*full, *rest) for name in ATTACKS]


def has_room(ticket: Ticket) -> bool:
    """Whether a QR code fits into the mask."""
    try:
        embed_symbol(ticket.masks, make_symbol(TEXT), seed=0)
    except OwnershipError:
        return False
    return True


@lru_cache(maxsize=2)
def _load_images(path: Path) -> ImageSplits:
    return load_splits(path)

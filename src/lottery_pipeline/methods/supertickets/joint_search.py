"""The joint search: what happens to a supernet between the steps of its one training (arXiv 2207.03677).

Every step adds two terms to the gradient: L2 on weights and the L1 pull on the scales of units. At the end of
some epochs dead units are removed for good, and masks are drawn anew over what is left. Masked weights are 0;
the values they had wait beside the network and can come back.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline.costs.macs import count_macs, theoretical_macs, total_macs
from lottery_pipeline.costs.sizes import count_parameters
from lottery_pipeline.costs.training_flops import count_training_macs
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods.supertickets.importance import MovingAverage, Pull
from lottery_pipeline.methods.supertickets.measurement import CalibratedTwin
from lottery_pipeline.methods.supertickets.plan import SearchPlan
from lottery_pipeline.methods.supertickets.pruning import count_to_keep, draw_scores, prune_globally
from lottery_pipeline.methods.supertickets.schedule import Event
from lottery_pipeline.methods.supertickets.shrinking import (
    Keep,
    count_removed,
    dead_macs,
    fill_budget,
    find_living,
)
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.units import find_units
from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.sparsity.masks import Masks, count_kept, full_masks
from lottery_pipeline.surgery.units import keep_units, slice_tensors
from lottery_pipeline.training.device import place_model_
from lottery_pipeline.training.events import EventError, Replacement
from lottery_pipeline.training.result import State
from lottery_pipeline.training.state import join_groups, take_group


class JointSearch:
    """The events of one search, and the network they leave.

    Args:
        model: the supernet, which ``train`` is given too; on the search's device.
        spec: its specification.
        plan: what happens when.
        images: calibrates batch norm on ``train``, measures on ``validation``.
        device: of the training.

    Attributes:
        spec: of the network as it is now.
        model: that network.
        masks: of its prunable weights.
        spent: multiply-accumulates of all steps so far; the network shrinks meanwhile.
        units: of the whole supernet, hidden channels and tokens together.
    """

    def __init__(
        self, model: nn.Module, spec: ModelSpec, plan: SearchPlan, images: ImageSplits, device: torch.device
    ) -> None:
        self._plan, self._images, self._device = plan, images, device
        self._options = plan.options
        self.spent = 0
        self._notes: list[str] = []
        self._step = 0
        self._average_accuracy: float | None = None
        self._measured: nn.Module | None = None
        self._masked_at_once: Masks | None = None
        self._adopt(model, spec, full_masks(prunable_parameters(model, spec.ignore_layers)))
        self.units = sum(group.size for group in self._units)
        self._hidden = {name: torch.zeros_like(w) for name, w in self._prunable.items()}
        self._average = MovingAverage(dict(model.named_parameters()), plan.ema_decay)

    def _adopt(self, model: nn.Module, spec: ModelSpec, masks: Masks) -> None:
        place_model_(model, self._device)
        self.model, self.spec, self.masks = model, spec, masks
        self._parameters = dict(model.named_parameters())
        self._prunable: dict[str, Tensor] = dict(prunable_parameters(model, spec.ignore_layers))
        self._units = find_units(model)
        self._decayed = list(prunable_parameters(model).values())
        search, prices = self._options.search, self._plan.prices
        self._macs = count_macs(model, (spec.channels, *spec.image_size))
        self._step_macs: int | None = None  # of one image; counted when it is needed
        self._twin = CalibratedTwin(model, self._images, self._plan, self._device)
        self._pull: Pull | None = None
        if search is not None and self._units:
            mean = self._plan.mean_price if search.mac_weighted else None
            self._pull = Pull(model, self._units, prices, mean, search.gamma_threshold)

    def identity(self) -> dict[str, Any]:
        """Return all that determines what the events do, as plain JSON."""
        return {"joint_search": self._plan.record(), "spec": self.spec.model_dump(mode="json")}

    @torch.no_grad()
    def regularise(self, step: int) -> None:
        """Add L2 on weights and the L1 pull on scales; batch norm and biases know no L2."""
        if self._plan.weight_decay:
            present = [(w.grad, w) for w in self._decayed if w.grad is not None]
            torch._foreach_add_(
                [g for g, _ in present], [w for _, w in present], alpha=self._plan.weight_decay
            )
        rho = self._plan.rho_at(step)
        if self._pull is not None and rho:
            self._pull.add_gradients_(rho)

    def after_step(self) -> None:
        """Let the moving average follow the weights."""
        self._average.update(self._parameters)
        self._measured = self._masked_at_once = None

    @torch.no_grad()
    def end_epoch(self, step: int, moments: Mapping[str, Tensor]) -> Replacement | None:
        """Search, then prune, if this epoch ends with such an event; measure what is left."""
        self._step, self._notes, self._average_accuracy, self._measured = step, [], None, None
        self._masked_at_once = None
        self._count_steps(step)
        event = self._plan.events.get(math.ceil(step / self._plan.steps_per_epoch))
        if event is None:
            return None
        state: State = dict(moments)
        if event.search:
            state = self._search(event, state)
        if event.sparsity is not None:
            self._prune(event)
        kept_moments = self._forget_masked(state)
        self._measured = self._twin.take(self.model.state_dict())
        pruning = self._options.pruning
        back_at_once = pruning is not None and pruning.reactivation == "after_prune"
        if back_at_once and event.sparsity is not None and not event.last:
            self._masked_at_once = {name: mask.clone() for name, mask in self.masks.items()}
            self._reactivate(self.masks)
        return Replacement(self.model, self.masks, kept_moments)

    def _count_steps(self, step: int) -> None:
        """Add what the steps of the epoch that ends have cost, at the size the network had."""
        if self._step_macs is None:
            self._step_macs = count_training_macs(self.model, (self.spec.channels, *self.spec.image_size))
        steps = (step - 1) % self._plan.steps_per_epoch + 1
        images = min(steps * self._plan.recipe.batch_size, len(self._images.train))
        self.spent += images * self._step_macs

    def _search(self, event: Event, moments: State) -> State:
        """Measure the average, remove what is dead, bring pruned weights back; return the moments."""
        self._notes.append("search")
        average = {
            name: value * self.masks[name] if name in self.masks else value
            for name, value in self._average.values.items()
        }
        self._average_accuracy = self._twin.validate({**self.model.state_dict(), **average})
        keep = self._choose_units(event)
        removed = count_removed(keep)
        if removed:
            moments = self._shrink(keep, moments)
            self._notes.append("shrink")
        mode = "never" if self._options.pruning is None else self._options.pruning.reactivation
        if mode == "every_search":
            self._reactivate(self.masks)
        elif mode == "on_search" and removed:
            inside = tuple(f"{group.name}." for group in self._units if group.kernel)
            self._reactivate([name for name in self.masks if name.startswith(inside)])
        return moments

    def _choose_units(self, event: Event) -> Keep:
        search, plan = self._options.search, self._plan
        assert search is not None  # noqa: S101 (a search event needs a search)
        if search.mac_budget is not None:
            surplus = total_macs(self._macs) - plan.budget_at(event)
            keep = fill_budget(self._units, self._average.values, plan.prices, surplus)
        else:
            keep = find_living(self._units, self._parameters, self._average.values, search, last=event.last)
            if not event.last and dead_macs(keep, plan.prices) < search.min_dead_macs * plan.macs:
                keep = {name: torch.ones_like(kept) for name, kept in keep.items()}
        if self._units and not any(bool(kept.any()) for kept in keep.values()):
            raise EventError(
                f"the search would remove every unit of the supernet (rho {write_number(plan.rho, 3)}, "
                f"threshold "
                f"{write_number(search.gamma_threshold)}); lower supertickets.extraction.search.rho or "
                "search.gamma_threshold, or train longer"
            )
        return keep

    def _shrink(self, keep: Keep, moments: State) -> State:
        """Build the smaller network and slice everything that belongs to a weight, all alike."""

        def cut(tensors: Mapping[str, Tensor]) -> State:
            return slice_tensors(tensors, old, keep)

        old = self.spec
        spec = keep_units(old, keep)
        model = build_model(spec, seed=0)
        model.load_state_dict(cut(self.model.state_dict()))
        self._hidden, masks = cut(self._hidden), cut(self.masks)
        self._average.values = cut(self._average.values)
        model.train()
        self._adopt(model, spec, masks)
        sliced: State = {}
        for kind in {name.partition("/")[0] for name in moments}:
            group = take_group(moments, kind)
            scalars = {name: t for name, t in group.items() if not t.dim() and name in self._parameters}
            wide = cut({name: t for name, t in group.items() if t.dim()})
            sliced |= join_groups({kind: scalars | wide})
        return sliced

    def _prune(self, event: Event) -> None:
        pruning = self._options.pruning
        assert pruning is not None  # noqa: S101 (a prune event needs a pruning)
        assert event.sparsity is not None  # noqa: S101
        self._notes.append("prune")
        full = {name: weight + self._hidden[name] for name, weight in self._prunable.items()}
        scores = (
            {name: value.abs() for name, value in full.items()}
            if pruning.scores == "magnitude"
            else draw_scores(full, derive_seed(self._plan.seed, "random", self._step))
        )
        k = self._plan.keep if event.last else count_to_keep(self._plan.prunable, event.sparsity)
        within = self.masks if pruning.compete == "kept_only" else None
        masks = prune_globally(scores, k, within=within, min_keep=pruning.min_keep_per_layer)
        for name, mask in masks.items():
            self._prunable[name].copy_(full[name] * mask)
            if pruning.pruned_value == "keep":
                self._hidden[name] = full[name] * ~mask
        self.masks = masks

    def _reactivate(self, names: Any) -> None:
        for name in names:
            self._prunable[name].add_(self._hidden[name])
            self._hidden[name].zero_()
        self.masks = {
            name: torch.ones_like(mask) if name in names else mask for name, mask in self.masks.items()
        }

    def _forget_masked(self, moments: State) -> State:
        """Clear what the optimiser knew of masked weights, so that no momentum moves them."""
        return {
            name: t * self.masks[key] if t.dim() and (key := name.partition("/")[2]) in self.masks else t
            for name, t in moments.items()
        }

    def measured(self) -> nn.Module:
        """Return a copy of the network with batch-norm statistics of its own: tracked ones lag behind."""
        if self._measured is None:
            self._measured = self._twin.take(self.model.state_dict())
        return self._measured

    def columns(self) -> dict[str, Any]:
        """Return size, masks and events of the network as measured."""
        masks, macs = self._masked_at_once or self.masks, self._macs
        row = {
            "units": sum(group.size for group in self._units if group.kernel),
            "tokens": sum(group.size for group in self._units if not group.kernel),
            "removed": self.units - sum(group.size for group in self._units),
            "macs": total_macs(macs),
            "macs_theoretical": theoretical_macs(macs, masks),
            "parameters": count_parameters(self.model),
            "kept": count_kept(masks),
            "density": count_kept(masks) / self._plan.prunable,
            "rho": self._plan.rho_at(max(0, self._step - 1)),
            "average_accuracy": self._average_accuracy,
            "event": ", ".join(self._notes),
        }
        self._notes, self._average_accuracy, self._masked_at_once = [], None, None
        return row

    def full_values(self) -> State:
        """Return the prunable weights with the values that masked ones had."""
        return {name: (weight + self._hidden[name]).detach() for name, weight in self._prunable.items()}

    def tensors(self) -> State:
        """Return masks, hidden values and moving average."""
        return join_groups({"mask": self.masks, "hidden": self._hidden, "average": self._average.values})

    def progress(self) -> dict[str, Any]:
        """Return the architecture that the search has come to, and what no row of the history says yet."""
        return {
            "architecture": [block.model_dump(mode="json") for block in self.spec.architecture],
            "spent": self.spent,
            "step": self._step,
            "notes": list(self._notes),
            "average_accuracy": self._average_accuracy,
        }

    def load(self, tensors: State, progress: Mapping[str, Any]) -> Replacement:
        """Rebuild the network of a checkpoint from its architecture; its weights are loaded afterwards."""
        blocks = tuple(BlockWidths.model_validate(block) for block in progress["architecture"])
        spec = self.spec.model_copy(update={"architecture": blocks})
        masks = {name: mask.to(self._device) for name, mask in take_group(tensors, "mask").items()}
        model = build_model(spec, seed=0)
        self._adopt(model, spec, masks)
        self._hidden = {name: t.to(self._device) for name, t in take_group(tensors, "hidden").items()}
        average = {name: t.to(self._device) for name, t in take_group(tensors, "average").items()}
        self._average.values = average
        self.spent, self._step, self._notes = progress["spent"], progress["step"], list(progress["notes"])
        self._average_accuracy = progress["average_accuracy"]
        return Replacement(model, masks, {})

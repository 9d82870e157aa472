"""What MLflow keeps beside numbers: which images a run used, and its trained tickets as models."""

import json
import logging
import warnings
from importlib.metadata import version
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from lottery_pipeline.tracking.connection import first_line

if TYPE_CHECKING:
    from lottery_pipeline.images.splits import ImageSplits
    from lottery_pipeline.tickets import Ticket

logger = logging.getLogger(__name__)

INPUT = "float32 pixels in [0, 1], [N, C, H, W] (divide uint8 by 255); the normalisation is inside the model"
OUTPUT = "logits [N, classes]"


def describe_images(images: "ImageSplits") -> Any:
    """Return images as a ``DatasetInput`` of MLflow; its digest is the start of their fingerprint."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
    from mlflow.utils.validation import MAX_DATASET_DIGEST_SIZE

    profile = {part: len(getattr(images, part)) for part in ("train", "validation", "test")} | {
        "fingerprint": images.fingerprint,
        "shape": images.train.images.shape[1:],
        "class_names": images.class_names,
    }
    source = json.dumps({"source": images.source})
    digest = images.fingerprint[:MAX_DATASET_DIGEST_SIZE]
    dataset = Dataset(images.source or "images", digest, "local", source, profile=json.dumps(profile))
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


class ExportedModel:
    """A trained ticket as a model that MLflow loads without this package, in a folder until it is sent.

    ``mlflow.pytorch.log_model`` does the same by way of MLflow's global state, which belongs to the user.
    """

    def __init__(self, name: str, fingerprint: str) -> None:
        from mlflow.models import Model

        self._name, self._fingerprint = name, fingerprint
        self._model = Model()
        self._folder = TemporaryDirectory()
        self._path = f"{self._folder.name}/model"

    @classmethod
    def of(cls, name: str, ticket: "Ticket", images: Any) -> Self | None:
        """Export a ticket.

        Args:
            name: of the model.
            ticket: a trained one.
            images: what it was trained on, from ``describe_images``.

        Returns:
            None, with a warning, if its network cannot be exported.
        """
        exported = cls(name, ticket.fingerprint)
        classes = json.loads(images.dataset.profile)["class_names"]
        try:
            export_model(ticket, classes, exported._model, exported._path)
        except Exception as error:  # torch.export fails in many ways on a network with unusual code
            exported._folder.cleanup()
            logger.warning("MLflow has no model of the ticket of %s: %s", name, first_line(error))
            return None
        return exported

    def send(self, client: Any, run: str) -> str:
        """Log the model; return its identity in MLflow.

        Args:
            client: of MLflow.
            run: identity of the MLflow run that made the ticket.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        maker = client.get_run(run)
        made = client.create_logged_model(
            maker.info.experiment_id,
            self._name,
            source_run_id=run,
            tags={
                "fingerprint": self._fingerprint,
                "mlflow.note.content": f"Takes {INPUT}. Gives {OUTPUT}.",
            },
            params=maker.data.params,
        )
        model = self._model
        model.artifact_path, model.run_id = made.artifact_location, run
        model.model_uuid = model.model_id = made.model_id
        model.save(f"{self._path}/MLmodel")
        client.log_model_artifacts(made.model_id, self._path)
        client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
        client.log_outputs(run, [LoggedModelOutput(made.model_id, step=0)])
        self._folder.cleanup()
        return str(made.model_id)


def export_model(ticket: "Ticket", class_names: list[str], model: Any, folder: str) -> None:
    """Write a ticket as an MLflow model: a graph and its weights, no pickle and no code of this package."""
    import mlflow.pytorch
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    spec, number = ticket.header.spec, np.dtype("float32")
    shape = (spec.channels, *spec.image_size)
    inputs, outputs = (TensorSpec(number, (-1, *sizes)) for sizes in (shape, (spec.num_classes,)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about type hints in MLflow's own modules
        mlflow.pytorch.save_model(
            ticket.build().eval(),
            folder,
            mlflow_model=model,
            signature=ModelSignature(Schema([inputs]), Schema([outputs])),
            input_example=np.full((2, *shape), 0.5, number),  # from one image, a model that takes only one
            pip_requirements=[f"torch=={version('torch').split('+')[0]}"],  # to look for them takes seconds
            serialization_format="pt2",
            metadata={
                "input": INPUT,
                "output": OUTPUT,
                "class_names": class_names,
                "fingerprint": ticket.fingerprint,
            },
        )
    # Else MLflow looks for a GPU where there is one, and refuses a model that was exported on the CPU.
    model.flavors["python_function"]["config"] = {"device": "cpu"}
    model.save(f"{folder}/MLmodel")


def register_model(client: Any, name: str, model: str) -> str:
    """Make a logged model the newest version of a registered one; return the version."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # All is given, because MLflow looks for what is not in the store of its global state.
    made = client.get_logged_model(model)
    place, run = made.artifact_location, made.source_run_id
    version = client.create_model_version(name, place, run_id=run, model_id=model).version
    known = json.loads(made.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))  # shown with the model
    known.append({"name": name, "version": version})
    client.set_logged_model_tags(model, {MLFLOW_MODEL_VERSIONS: json.dumps(known)})
    return str(version)

"""Records from strangers: frozen, strict, without unknown fields, every string and list bounded."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.ownership.canonical_json import encode
from lottery_pipeline.ownership.errors import OwnershipError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _check_printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("only printable characters are allowed, and no blank at either end")
    return text


Owner = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_printable)]
ModelName = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_printable)]
LayerName = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,256}$")]


class Record(BaseModel):
    """Base of what is read from signed statements and from the log."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


RecordModel = TypeVar("RecordModel", bound=Record)


def parse_record(model: type[RecordModel], value: object, *, what: str) -> RecordModel:
    """Validate plain JSON values against a record.

    Args:
        model: the record's class.
        value: as ``canonical_json.decode`` returns it.
        what: name of the record in the message.

    Raises:
        OwnershipError: a field is missing, unknown or outside its bounds; the sentence names the first.
    """
    try:
        return model.model_validate_json(encode(value))
    except ValidationError as error:
        raise OwnershipError(f"the {what} is wrong: {describe_file_fault(model, error)}") from error

"""What to tell a user whose weights cannot be had from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator

from workzone.errors import BackboneError


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def hub_failure(name: str, hub_id: str, error: Exception) -> BackboneError:
    """The error to raise for a backbone ``name`` whose download from ``hub_id`` failed."""
    reason = hub_reason(name, hub_id, error, local="--weights PATH")
    return BackboneError(f"{reason}; 'lite0' needs no download")


def hub_reason(name: str, hub_id: str, error: Exception, *, local: str) -> str:
    """Why the download of ``name`` from ``hub_id`` failed, and how to get its weights.

    ``local`` is the option that names weights on this machine.
    """
    # Here, since it brings an HTTP client, which nobody needs who downloads nothing.
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    local = f"or pass local weights with {local}"
    causes = list(_chain(error))
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return (
            f"the weights of {name!r} are gated: accept the licence at "
            f"https://huggingface.co/{hub_id}, log in with 'hf auth login', and try again, {local}"
        )
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return (
            f"the hub shows no weights of {name!r} at https://huggingface.co/{hub_id}: if they "
            f"are private or gated, log in with 'hf auth login', {local}"
        )
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f"the weights of {name!r} are not on this machine and could not be fetched from "
        f"https://huggingface.co/{hub_id} ({first_line}): check the connection and that "
        f"HF_HUB_OFFLINE is not set, {local}"
    )

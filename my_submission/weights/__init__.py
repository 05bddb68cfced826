"""Trained weights: models folders and their manifests, download, and verification before a file is opened."""

from my_submission.weights.content_checks import is_lfs_pointer, sha256_of
from my_submission.weights.download import FetchProgress
from my_submission.weights.fetching import FetchResult, fetch
from my_submission.weights.folder import ModelsFolder
from my_submission.weights.manifest import Artefact, ArtefactGeometry, read_manifest
from my_submission.weights.manifest_entries import describe_artefact, record_artefacts, refresh_manifest
from my_submission.weights.tensors import (
    check_checksums,
    map_tensors,
    read_settings,
    read_state_dict,
    read_tensor_shapes,
)
from my_submission.weights.verification import VerifyResult, verify

__all__ = [
    "Artefact",
    "ArtefactGeometry",
    "FetchProgress",
    "FetchResult",
    "ModelsFolder",
    "VerifyResult",
    "check_checksums",
    "describe_artefact",
    "fetch",
    "is_lfs_pointer",
    "map_tensors",
    "read_manifest",
    "read_settings",
    "read_state_dict",
    "read_tensor_shapes",
    "record_artefacts",
    "refresh_manifest",
    "sha256_of",
    "verify",
]

"""The closed catalogue of findings: every code with its severity, its text and what to do about it.

Severity belongs to the kind of finding, never to the place that reports it. INFO: an assumption, or something
that travels along and comes back. WARNING: the input was mended, or the target shows less than the source said
although the original travels along. LOSS: something the source had is not in the output.
The table in docs/findings.md is generated from this one.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Severity(IntEnum):
    """How much a finding matters."""

    INFO = 0
    WARNING = 1
    LOSS = 2


class Code(StrEnum):
    """Names of findings; see CATALOGUE."""

    __hash__ = str.__hash__  # findings are looked up by the hundred thousand, and an enum's own is slow

    # reading
    ASSUMED = "assumed"
    DETECTED = "detected"
    AMBIGUOUS = "ambiguous"
    OUT_OF_RANGE = "out-of-range"
    STALE = "stale"
    REJECTED = "rejected"
    DUPLICATE_ID = "duplicate-id"
    MISSING_ID = "missing-id"
    UNREADABLE_SHAPE = "unreadable-shape"
    NO_SHAPE = "no-shape"
    SIZE_MISSING = "size-missing"
    LABEL_UNDECLARED = "label-undeclared"
    LABEL_RENAMED = "label-renamed"
    LABEL_CONFLICT = "label-conflict"
    VALUE_NORMALISED = "value-normalised"
    DOUBTFUL_BOX = "doubtful-box"
    SUPERSEDED = "superseded"
    IGNORED_FILE = "ignored-file"
    UNKNOWN = "unknown"
    # choices of the user
    FILTERED = "filtered"
    RELABELLED = "relabelled"
    # fit
    CARRIED = "carried"
    APPROXIMATED = "approximated"
    REPLACED = "replaced"
    DROPPED = "dropped"
    # writing
    COMPLETED = "completed"
    RENUMBERED = "renumbered"
    ROUNDED = "rounded"
    METADATA_AS_STRING = "metadata-as-string"
    MASK_OVERLAP = "mask-overlap"
    MASK_OVERFLOW = "mask-overflow"
    RELATIVE_URL = "relative-url"
    NOT_VERIFIED = "not-verified"


SCORES_BEYOND = "scores that are not within 0 to 1, as confidences are"
"""What readers find ``Code.OUT_OF_RANGE``; ``check`` has a rule of its own for it."""


class Entry(NamedTuple):
    """What a code means. ``text`` may use {what} and {format}."""

    severity: Severity
    text: str
    advice: str


CATALOGUE: dict[Code, Entry] = {
    Code.ASSUMED: Entry(
        Severity.INFO, "{what}", "If the assumption is wrong, the option named in the text changes it."
    ),
    Code.DETECTED: Entry(
        Severity.INFO, "source read as {what}", "Name the format yourself (convert FORMAT2nucleus) if this is wrong."
    ),
    Code.AMBIGUOUS: Entry(
        Severity.WARNING,
        "more than one meaning: {what}",
        "Look at a few of the examples; the option named in the text says which meaning is right.",
    ),
    Code.OUT_OF_RANGE: Entry(
        Severity.WARNING, "{what}; kept as they are", "Some tools refuse such values; mend them in the source."
    ),
    Code.STALE: Entry(
        Severity.WARNING,
        "{what} changed since it was written; what travelled beside it fits no more and is left out",
        "The labels count as they are now; convert again from the source if ids and attributes are wanted.",
    ),
    Code.REJECTED: Entry(
        Severity.LOSS,
        "record not read: {what}",
        "Mend the records (with --on-error quarantine they are in rejected.jsonl, verbatim) and convert again.",
    ),
    Code.DUPLICATE_ID: Entry(
        Severity.WARNING,
        "{what} used more than once; all are kept",
        "Ids should be unique: other tools keep only the last of them.",
    ),
    Code.MISSING_ID: Entry(Severity.INFO, "{what} without an id", "Ids are made from the position in the file."),
    Code.UNREADABLE_SHAPE: Entry(
        Severity.WARNING,
        "{what} is no usable shape; kept verbatim and given back on the return trip",
        "Look at the examples: such a shape is drawn by no tool.",
    ),
    Code.NO_SHAPE: Entry(
        Severity.WARNING,
        "object without any shape ({what})",
        "The label and attributes are kept; nothing can be drawn.",
    ),
    Code.SIZE_MISSING: Entry(
        Severity.WARNING, "image size {what}", "Give sizes in the source; masks and normalised formats need them."
    ),
    Code.LABEL_UNDECLARED: Entry(
        Severity.WARNING,
        "label {what} is used but not declared",
        "Where it is known by its number alone, that stands for its name. Add it to the source's categories, or give"
        " --ground-truth.",
    ),
    Code.LABEL_RENAMED: Entry(
        Severity.WARNING, "label names must differ: {what}", "Rename the labels in the source, or with --labels."
    ),
    Code.LABEL_CONFLICT: Entry(
        Severity.WARNING, "label {what} differs between files; the first one is kept", "Make the files agree."
    ),
    Code.VALUE_NORMALISED: Entry(
        Severity.INFO, "{what}", "The value is unusual but its meaning is clear; nothing to do."
    ),
    Code.DOUBTFUL_BOX: Entry(
        Severity.WARNING,
        "box {what}; kept as it is",
        "Look at the examples: it may be drawn wrongly, or its numbers mean something else.",
    ),
    Code.SUPERSEDED: Entry(
        Severity.INFO, "{what}", "The same objects are in more than one file; the fuller one is used."
    ),
    Code.IGNORED_FILE: Entry(Severity.WARNING, "file not read: {what}", "Convert it by itself if it is wanted."),
    Code.UNKNOWN: Entry(
        Severity.INFO,
        "{what} is not known; it is kept as it is and comes back on the return trip",
        "Nothing to do; if it is misspelt, mend it in the source.",
    ),
    Code.FILTERED: Entry(Severity.LOSS, "left out on request: {what}", "You asked for this."),
    Code.RELABELLED: Entry(Severity.INFO, "label changed on request: {what}", "You asked for this."),
    Code.CARRIED: Entry(
        Severity.INFO,
        "{format} has no word for {what}; it travels along and comes back on the return trip",
        "Nothing to do.",
    ),
    Code.APPROXIMATED: Entry(
        Severity.WARNING,
        "{format} shows {what}; the original travels along and comes back on the return trip",
        "Check that the approximation serves in the target; the measure says how far it is off.",
    ),
    Code.REPLACED: Entry(
        Severity.LOSS,
        "{format} cannot hold the original: {what}",
        "Choose a target that holds it, or accept the measured difference.",
    ),
    Code.DROPPED: Entry(
        Severity.LOSS, "{format} cannot hold {what}; it is not in the output", "Choose a target that holds it."
    ),
    Code.COMPLETED: Entry(
        Severity.INFO, "{what} was missing in the source and is written", "Other tools need it; nothing to do."
    ),
    Code.RENUMBERED: Entry(
        Severity.INFO, "{what} numbered anew; the source's name for it travels along", "Nothing to do."
    ),
    Code.ROUNDED: Entry(Severity.LOSS, "{format} rounds {what}", "Ask for more digits."),
    Code.METADATA_AS_STRING: Entry(
        Severity.WARNING,
        "metadata key {what} holds numbers and strings; Nucleus wants one type, so all are written as strings",
        "Make the source's values one type; on the return trip the numbers come back as numbers.",
    ),
    Code.MASK_OVERLAP: Entry(
        Severity.WARNING,
        "masks overlap in the image's one PNG ({what}); the covered mask travels along whole",
        "The picture in Nucleus lacks the covered pixels; the return trip has them.",
    ),
    Code.MASK_OVERFLOW: Entry(
        Severity.WARNING,
        "more than 255 masks in one image ({what}); what is not shown travels along whole",
        "Choose another way with --overflow, or write polygons (--segmentation polygon).",
    ),
    Code.RELATIVE_URL: Entry(
        Severity.INFO,
        "image locations are {what}",
        "Give --image-root (a folder, or a prefix such as s3://bucket/images) if Nucleus cannot find them so.",
    ),
    Code.NOT_VERIFIED: Entry(
        Severity.INFO, "{what}", "Give --verify all to read back and compare every record."
    ),
}

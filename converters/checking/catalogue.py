"""The closed catalogue of problems: every code with its level, its family, its text and what to do about it.

ERROR: it is wrong, or an upload to Nucleus fails. WARNING: most likely wrong, or it misleads. NOTE: worth knowing.
The level belongs to the code, never to the place that finds it. What readers find while reading has codes of its
own (:mod:`nucleus_convert.converters.codes`) and is listed beside these. The table in docs/problems.md is
generated from this one.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Level(IntEnum):
    """How bad a problem is."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


class Code(StrEnum):
    """Names of problems; see RULES."""

    # reading
    UNREADABLE = "unreadable"
    LABEL_TWO_IDS = "label-two-ids"
    # geometry
    NOT_FINITE = "not-finite"
    OUTSIDE_IMAGE = "outside-image"
    OFF_IMAGE = "off-image"
    NEGATIVE_SIZE = "negative-size"
    ZERO_AREA = "zero-area"
    FEW_POINTS = "few-points"
    SELF_CROSSING = "self-crossing"
    NOT_TESTED = "not-tested"
    MASK_SIZE = "mask-size"
    DUPLICATE_OBJECT = "duplicate-object"
    # values
    CONFIDENCE_RANGE = "confidence-range"
    CLASS_PDF_RANGE = "class-pdf-range"
    CLASS_PDF_SUM = "class-pdf-sum"
    KEYPOINT_NAMES = "keypoint-names"
    KEYPOINT_SKELETON = "keypoint-skeleton"
    KEYPOINT_PLACE = "keypoint-place"
    NO_LABEL = "no-label"
    # consistency
    LABEL_CASE = "label-case"
    ID_TWO_LABELS = "id-two-labels"
    LABEL_UNUSED = "label-unused"
    DUPLICATE_ITEM = "duplicate-item"
    DUPLICATE_PICTURE = "duplicate-picture"
    DUPLICATE_ANNOTATION_ID = "duplicate-annotation-id"
    SEVERAL_CATEGORIES = "several-categories"
    TAXONOMY_LABEL = "taxonomy-label"
    TAXONOMY_UNLISTED = "taxonomy-unlisted"
    FRAME_GAP = "frame-gap"
    FRAME_TWICE = "frame-twice"
    # Nucleus payloads
    BAD_PAYLOAD = "bad-payload"
    UNKNOWN_KEY = "unknown-key"
    NO_REFERENCE_ID = "no-reference-id"
    DUPLICATE_REFERENCE_ID = "duplicate-reference-id"
    UNKNOWN_ITEM = "unknown-item"
    NO_LOCATION = "no-location"
    LOCAL_PATH = "local-path"
    LOCAL_FILE = "local-file"
    MIXED_LOCATIONS = "mixed-locations"
    ITEMS_AND_SCENES = "items-and-scenes"
    METADATA_TYPE = "metadata-type"
    MANY_STRINGS = "many-strings"
    MULTICATEGORY = "multicategory"
    CUBOID_ON_IMAGE = "cuboid-on-image"
    SEVERAL_SEGMENTATIONS = "several-segmentations"
    SEGMENT_INDEX = "segment-index"
    MASK_MISSING = "mask-missing"
    MASK_REMOTE = "mask-remote"
    MASK_NOT_PNG = "mask-not-png"
    MASK_VALUE = "mask-value"
    SCENE_EMPTY = "scene-empty"
    SCENE_FRAMES = "scene-frames"
    SCENE_VIDEO = "scene-video"
    SCENE_POINTCLOUD = "scene-pointcloud"
    VIDEO_TOO_LONG = "video-too-long"
    PART_TOO_LARGE = "part-too-large"
    NOT_WRITABLE = "not-writable"


class Rule(NamedTuple):
    """What a code means. ``text`` may use {what}."""

    level: Level
    family: str
    text: str
    advice: str


_READING, _GEOMETRY, _VALUES, _CONSISTENCY, _NUCLEUS = "reading", "geometry", "values", "consistency", "Nucleus"
_N, _W, _E = Level.NOTE, Level.WARNING, Level.ERROR

RULES: dict[Code, Rule] = {
    Code.UNREADABLE: Rule(
        _E, _READING, "cannot be read: {what}", "Mend the record or file; what cannot be read cannot be checked."
    ),
    Code.LABEL_TWO_IDS: Rule(
        _W, _READING, "one label over two ids: {what}", "Give the labels names that differ, or make them one."
    ),
    Code.NOT_FINITE: Rule(
        _E, _GEOMETRY, "{what} with a coordinate that is NaN, infinite or too large", "Mend the number in the source."
    ),
    Code.OUTSIDE_IMAGE: Rule(
        _W,
        _GEOMETRY,
        "{what} reaches out of the image",
        "Clip it, or look whether the image's size or the coordinates' unit is wrong.",
    ),
    Code.OFF_IMAGE: Rule(
        _E,
        _GEOMETRY,
        "{what} lies wholly outside the image",
        "Most likely it is of another image, or the coordinates are of another size of the image.",
    ),
    Code.NEGATIVE_SIZE: Rule(
        _E, _GEOMETRY, "{what} of negative size", "Corners may be exchanged, or the box may be x1, y1, x2, y2."
    ),
    Code.ZERO_AREA: Rule(
        _W, _GEOMETRY, "{what} of no area", "Remove it: nothing can overlap it, so that no evaluation can find it."
    ),
    Code.FEW_POINTS: Rule(
        _E, _GEOMETRY, "{what} with too few points", "A ring needs three points, a line two; remove the others."
    ),
    Code.SELF_CROSSING: Rule(
        _W, _GEOMETRY, "{what} whose outline crosses itself", "Draw it again: what is inside differs from tool to tool."
    ),
    Code.NOT_TESTED: Rule(
        _N, _GEOMETRY, "{what} with so many points that crossings were not looked for", "Simplify the outline."
    ),
    Code.MASK_SIZE: Rule(
        _E, _GEOMETRY, "mask of another size than its image", "Make the mask anew at the image's size."
    ),
    Code.DUPLICATE_OBJECT: Rule(
        _W,
        _GEOMETRY,
        "two objects labelled {what} in nearly the same place",
        "Remove one: the second counts as missed, or as a false alarm, in every evaluation.",
    ),
    Code.CONFIDENCE_RANGE: Rule(
        _E, _VALUES, "confidence not within 0 to 1", "Divide percentages by 100; turn logits into probabilities."
    ),
    Code.CLASS_PDF_RANGE: Rule(
        _E, _VALUES, "class_pdf with a probability not within 0 to 1", "Turn scores into probabilities."
    ),
    Code.CLASS_PDF_SUM: Rule(
        _E, _VALUES, "class_pdf that does not sum to 1", "Give the probabilities of all classes; they must sum to 1."
    ),
    Code.KEYPOINT_NAMES: Rule(
        _E,
        _VALUES,
        "keypoints: {what}",
        "Give as many names as there are points, each name once.",
    ),
    Code.KEYPOINT_SKELETON: Rule(
        _E,
        _VALUES,
        "skeleton: {what}",
        "Edges are pairs of 0-based indices of points; write [] if there are none.",
    ),
    Code.KEYPOINT_PLACE: Rule(
        _E, _VALUES, "keypoint: {what}", "A visible keypoint needs x and y; an invisible one both or neither."
    ),
    Code.NO_LABEL: Rule(_W, _VALUES, "object without a label", "Label it; Nucleus wants a label for everything."),
    Code.LABEL_CASE: Rule(
        _W,
        _CONSISTENCY,
        "labels that differ only by case or spaces: {what}",
        "Make them one (--labels FILE with merge does it while converting).",
    ),
    Code.ID_TWO_LABELS: Rule(_W, _CONSISTENCY, "one id over several labels: {what}", "Give every label its own id."),
    Code.LABEL_UNUSED: Rule(
        _N, _CONSISTENCY, "label without objects", "Nothing, if it is wanted; it may be a leftover."
    ),
    Code.DUPLICATE_ITEM: Rule(
        _W, _CONSISTENCY, "two items with one id", "Right where each part of the source counts anew; give each its own."
    ),
    Code.DUPLICATE_PICTURE: Rule(
        _W, _CONSISTENCY, "two items with one picture", "Make them one: their objects miss each other."
    ),
    Code.DUPLICATE_ANNOTATION_ID: Rule(
        _E,
        _CONSISTENCY,
        "annotation id used twice in an item",
        "Give every annotation of an item its own id; the SDK refuses the upload, other tools keep the last.",
    ),
    Code.SEVERAL_CATEGORIES: Rule(
        _E,
        _CONSISTENCY,
        "several category labels on one item in {what}",
        "Nucleus holds one for each item and taxonomy: make a taxonomy of True and False for each class.",
    ),
    Code.TAXONOMY_LABEL: Rule(
        _E, _CONSISTENCY, "category label that is not among those of {what}", "Add it to the taxonomy's labels."
    ),
    Code.TAXONOMY_UNLISTED: Rule(
        _W,
        _CONSISTENCY,
        "{what} is used but not listed",
        "List it with its labels, or Nucleus makes one of the labels it happens to see.",
    ),
    Code.FRAME_GAP: Rule(
        _W,
        _CONSISTENCY,
        "frames of a scene do not follow one another from 0",
        "Nucleus wants them 0-based and without gaps; tracks jump where frames are missing.",
    ),
    Code.FRAME_TWICE: Rule(
        _W, _CONSISTENCY, "two items in one place of a scene", "Give each its own frame, or its own sensor."
    ),
    Code.BAD_PAYLOAD: Rule(
        _E, _NUCLEUS, "not as Nucleus has it: {what}", "See the SDK's from_json for what is expected."
    ),
    Code.UNKNOWN_KEY: Rule(
        _N, _NUCLEUS, "key that the SDK does not know and leaves out: {what}", "Put it into metadata."
    ),
    Code.NO_REFERENCE_ID: Rule(_E, _NUCLEUS, "{what} without a reference_id", "Say whose it is."),
    Code.DUPLICATE_REFERENCE_ID: Rule(
        _E, _NUCLEUS, "reference_id used twice among {what}", "Nucleus wants every reference_id once in a dataset."
    ),
    Code.UNKNOWN_ITEM: Rule(
        _W,
        _NUCLEUS,
        "annotation of an item that is not here",
        "Right if the item has been uploaded already; otherwise mend its reference_id.",
    ),
    Code.NO_LOCATION: Rule(
        _E, _NUCLEUS, "item {what}", "Give exactly one of image_url and pointcloud_url (or url within a scene)."
    ),
    Code.LOCAL_PATH: Rule(
        _E,
        _NUCLEUS,
        "local path that this upload does not take: {what}",
        "Put the files where http, https, s3 or gs reach them (--image-root, --mask-url-prefix), or upload masks"
        " synchronously.",
    ),
    Code.LOCAL_FILE: Rule(
        _N,
        _NUCLEUS,
        "{what} by local path",
        "Right for a synchronous upload from here (of items too); --asynchronous checks for the other.",
    ),
    Code.MIXED_LOCATIONS: Rule(
        _E, _NUCLEUS, "local and remote items together", "The SDK takes them in separate calls of append only."
    ),
    Code.ITEMS_AND_SCENES: Rule(
        _W, _NUCLEUS, "single items and scenes together", "A dataset holds either; upload them to two."
    ),
    Code.METADATA_TYPE: Rule(
        _E,
        _NUCLEUS,
        "metadata key {what} holds numbers and strings",
        "Nucleus wants one type for a key: write strings.",
    ),
    Code.MANY_STRINGS: Rule(
        _W,
        _NUCLEUS,
        "metadata key {what} holds more than 250 different strings",
        "It can be queried, but Nucleus shows no histogram of it.",
    ),
    Code.MULTICATEGORY: Rule(
        _W, _NUCLEUS, "payload of type multicategory", "The SDK has it, the service does not take it yet."
    ),
    Code.CUBOID_ON_IMAGE: Rule(
        _E, _NUCLEUS, "cuboid on an item that is an image", "Cuboids are for point clouds only."
    ),
    Code.SEVERAL_SEGMENTATIONS: Rule(
        _E, _NUCLEUS, "more than one segmentation of an item", "Nucleus keeps one: join their segments in one mask."
    ),
    Code.SEGMENT_INDEX: Rule(
        _E, _NUCLEUS, "segment: {what}", "Give each segment a whole number from 0 to 255 of its own."
    ),
    Code.MASK_MISSING: Rule(
        _E, _NUCLEUS, "mask file is not here", "Put it where mask_url says, or give its folder with --mask-folder."
    ),
    Code.MASK_REMOTE: Rule(
        _N,
        _NUCLEUS,
        "remote mask, which was not looked at",
        "Give the folder with copies (--mask-folder) to check them.",
    ),
    Code.MASK_NOT_PNG: Rule(
        _E, _NUCLEUS, "mask is no PNG of one 8-bit channel: {what}", "Save it so, with the suffix .png."
    ),
    Code.MASK_VALUE: Rule(
        _E, _NUCLEUS, "mask with a value that no segment names", "Name each value; only 0 may be background."
    ),
    Code.SCENE_EMPTY: Rule(_E, _NUCLEUS, "scene without frames", "Give frames, or the location of a video."),
    Code.SCENE_FRAMES: Rule(
        _E, _NUCLEUS, "frames of a scene {what}", "Frames are a list from 0 on without gaps, each with its items."
    ),
    Code.SCENE_VIDEO: Rule(
        _E,
        _NUCLEUS,
        "video scene {what}",
        "Give frames with a frame_rate above 0, or a video_url without either.",
    ),
    Code.SCENE_POINTCLOUD: Rule(
        _E,
        _NUCLEUS,
        "lidar scene {what}",
        "Each frame must have exactly one point cloud, of the same sensor in all frames.",
    ),
    Code.VIDEO_TOO_LONG: Rule(
        _E, _NUCLEUS, "video of more than 3,000 items", "Cut it into several scenes, or upload it by video_url."
    ),
    Code.PART_TOO_LARGE: Rule(
        _E, _NUCLEUS, "more bytes than one upload may have: {what}", "Split the file (convert does, see --part-bytes)."
    ),
    Code.NOT_WRITABLE: Rule(_E, _NUCLEUS, "cannot be written as payloads: {what}", "See the text."),
}

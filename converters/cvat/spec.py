"""What CVAT XML can say."""

from __future__ import annotations

from nucleus_convert.converters.protocol import Feature, Spec

_HOLDS = frozenset(
    {
        Feature.BOX,
        Feature.ROTATION,
        Feature.POLYGON,
        Feature.LINE,
        Feature.POINTS,
        Feature.KEYPOINTS,
        Feature.ELLIPSE,
        Feature.MASK,
        Feature.CUBOID2D,
        Feature.TAG,
        Feature.GROUP,
        Feature.OCCLUDED,
        Feature.Z_ORDER,
        Feature.ATTRIBUTES,
        Feature.ITEM_ID,
        Feature.EMPTY_ITEM,
        Feature.PATH,
        Feature.SIZE,
        Feature.SUBSET,
        Feature.LABEL_COLOR,
        Feature.LABEL_KEYPOINTS,
        Feature.LABEL_ATTRIBUTES,
        Feature.UNUSED_LABEL,
    }
)

SPEC = Spec(
    name="cvat",
    title="CVAT XML 1.1",
    holds=_HOLDS,
    carries=frozenset(Feature) - _HOLDS,
    layout="either",
    suffix=".xml",
    reference="https://docs.cvat.ai/docs/manual/advanced/xml_format/",
)

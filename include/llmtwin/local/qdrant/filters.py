"""Filters: from REST's models to the engine's types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, cast

import numpy as np
import qdrant_edge as edge
from qdrant_client.http import models

from llmtwin.local.qdrant.errors import WrongInputError
from llmtwin.local.qdrant.ids import PointId, point_id


def engine_filter(asked: models.Filter | None) -> edge.Filter | None:
    """Return the engine's form of a filter; None stays None.

    Raises:
        WrongInputError: A condition holds nothing to check, or an invalid id.
    """
    if asked is None:
        return None
    min_should = asked.min_should
    return edge.Filter(
        must=_conditions(asked.must),
        should=_conditions(asked.should),
        must_not=_conditions(asked.must_not),
        min_should=edge.MinShould(_conditions(min_should.conditions), min_should.min_count) if min_should else None,
    )


def excluding(asked: edge.Filter | None, ids: Sequence[PointId]) -> edge.Filter | None:
    """Return the filter narrowed to points other than these."""
    if not ids:
        return asked
    return edge.Filter(must=[asked] if asked else None, must_not=[edge.HasIdCondition(set(ids))])


def _conditions(asked: Any) -> Any:
    if asked is None:
        return None
    return [_condition(one) for one in (asked if isinstance(asked, list) else [asked])]


def _condition(asked: Any) -> Any:
    match asked:
        case models.FieldCondition():
            return _field(asked)
        case models.Filter():
            return engine_filter(asked)
        case models.IsEmptyCondition():
            return edge.IsEmptyCondition(asked.is_empty.key)
        case models.IsNullCondition():
            return edge.IsNullCondition(asked.is_null.key)
        case models.HasIdCondition():
            return edge.HasIdCondition({point_id(one) for one in asked.has_id})
        case models.HasVectorCondition():
            return edge.HasVectorCondition(asked.has_vector)
        case models.NestedCondition():
            return edge.NestedCondition(asked.nested.key, engine_filter(asked.nested.filter) or edge.Filter())
        case models.SliceCondition():
            return edge.SliceCondition(asked.slice.total, asked.slice.index)  # type: ignore[attr-defined] # stub lacks it
    raise WrongInputError(f"the local server has no condition {type(asked).__name__}")


def _field(asked: models.FieldCondition) -> edge.FieldCondition:
    box, circle, polygon, count = asked.geo_bounding_box, asked.geo_radius, asked.geo_polygon, asked.values_count
    checks = asked.model_dump(exclude={"key"}, exclude_none=True)
    if not checks:
        raise WrongInputError(f"the condition on {asked.key!r} has nothing to check")
    return edge.FieldCondition(
        asked.key,
        match=_match(asked.match) if asked.match else None,
        range=_range(asked.range) if asked.range else None,
        geo_bounding_box=edge.GeoBoundingBox(_geo(box.top_left), _geo(box.bottom_right)) if box else None,
        geo_radius=edge.GeoRadius(_geo(circle.center), circle.radius) if circle else None,
        geo_polygon=edge.GeoPolygon(_line(polygon.exterior), [_line(hole) for hole in polygon.interiors or []])
        if polygon
        else None,
        values_count=edge.ValuesCount(lt=count.lt, gt=count.gt, lte=count.lte, gte=count.gte) if count else None,
        is_empty=asked.is_empty,
        is_null=asked.is_null,
    )


def _match(asked: Any) -> Any:
    match asked:
        case models.MatchValue(value=bool(value)):
            # Python's bool is an int, and the engine's binding tries int first; NumPy's is not.
            return edge.MatchValue(cast(bool, np.bool_(value)))
        case models.MatchValue():
            return edge.MatchValue(asked.value)
        case models.MatchAny():
            return edge.MatchAny(asked.any)
        case models.MatchExcept():
            return edge.MatchExcept(asked.except_)
        case models.MatchText():
            return edge.MatchText(asked.text)
        case models.MatchTextAny():
            return edge.MatchTextAny(asked.text_any)
        case models.MatchPhrase():
            return edge.MatchPhrase(asked.phrase)
        case models.MatchPrefix():
            return edge.MatchPrefix(asked.prefix)
        case models.MatchSubstring():
            return edge.MatchSubstring(asked.substring)
    raise WrongInputError(f"the local server has no match {type(asked).__name__}")


def _range(asked: models.Range | models.DatetimeRange) -> edge.RangeFloat | edge.RangeDateTime:
    if isinstance(asked, models.Range):
        return edge.RangeFloat(gte=asked.gte, gt=asked.gt, lte=asked.lte, lt=asked.lt)
    return edge.RangeDateTime(gte=_iso(asked.gte), gt=_iso(asked.gt), lte=_iso(asked.lte), lt=_iso(asked.lt))


def _iso(moment: date | None) -> str | None:
    return moment.isoformat() if moment else None


def _geo(point: models.GeoPoint) -> edge.GeoPoint:
    return edge.GeoPoint(lon=point.lon, lat=point.lat)


def _line(line: models.GeoLineString) -> list[edge.GeoPoint]:
    return [_geo(point) for point in line.points]

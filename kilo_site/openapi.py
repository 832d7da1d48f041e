"""What the generated OpenAPI description needs beyond DRF's views.

`POST /api/v1/route` is a plain view whose body msgspec reads, so its schema comes from the msgspec
Struct that reads it. Every call can answer with the one error envelope.
"""

from typing import Any

import msgspec

from lib.errors import TYPES
from lib.taxonomy import TASK_TYPES
from routing.api.shapes import CLIENT_MODES, MODALITIES, RouteBody
from routing.engine.explain import VERDICTS

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
TEXT: Schema = {"type": "string"}
MODEL: Schema = {"type": "string", "description": "provider/name"}
MICRO_USD: Schema = {"type": "integer", "minimum": 0}


def record(properties: Schema, description: str, optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object whose properties are all present, but for `optional`."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def shares_of(what: str) -> Schema:
    """Return the schema of probabilities by name."""
    return {"type": "object", "description": what, "additionalProperties": SHARE}


ERROR = record(
    {
        "error": record(
            {
                "message": {"type": "string", "description": "What is wrong and how to mend it."},
                "type": {"type": "string", "enum": sorted(set(TYPES.values()))},
                "code": TEXT,
                "param": {"type": ["string", "null"], "description": "The offending parameter."},
                "request_id": {"type": "string", "description": "As in X-Request-ID."},
                "details": {"description": "What else is known; null when nothing is."},
            },
            "The failure.",
        )
    },
    "The one error envelope of the API.",
)
CANDIDATE = record(
    {
        "model": MODEL,
        "accuracy": SHARE,
        "low": SHARE,
        "high": SHARE,
        "cost_micro_usd": MICRO_USD,
        "clears": {
            "oneOf": [SHARE, NULL],
            "description": "Probability that it clears the bar; null if it was not considered.",
        },
        "verdict": {"type": "string", "enum": list(VERDICTS)},
    },
    "One model's figures for this request, and why it was or was not taken.",
)
LADDER = {
    "oneOf": [
        record(
            {
                "rungs": {
                    "type": "array",
                    "items": record(
                        {
                            "model": MODEL,
                            "success": {
                                **SHARE,
                                "description": "Probability that it succeeds once it is reached.",
                            },
                            "cost_micro_usd": {
                                **MICRO_USD,
                                "description": "Expected cost once it is reached.",
                            },
                        },
                        "One model of the ladder.",
                    ),
                },
                "success": {**SHARE, "description": "Probability that one of them succeeds."},
                "cost_micro_usd": {
                    **MICRO_USD,
                    "description": "Expected cost of all that are tried.",
                },
            },
            "The models to try in this order until one succeeds.",
        ),
        NULL,
    ],
    "description": "Null unless the request is `verifiable` and clear.",
}
PROBABILITIES = {
    "oneOf": [
        record(
            {
                "source": {"type": "string", "enum": ["classifier", "client"]},
                "version": {"type": "string", "description": "The classifier's version."},
                "routes": shares_of("Probability by route, likeliest first."),
                "difficulties": shares_of("Probability by difficulty."),
            },
            "What the request was taken to be about.",
        ),
        NULL,
    ]
}
CONTRIBUTIONS = {
    "type": "array",
    "description": "What spoke most for the route, the strongest first. Kept nowhere.",
    "items": record(
        {
            "feature": {"type": "string", "description": "A word of the request, or `mode: code`."},
            "weight": {
                "type": "number",
                "minimum": 0,
                "description": "By how much the log probability of the route falls without it.",
            },
        },
        "One word or sign.",
    ),
}
FLAGS = {
    "dry_run": "Decide and record nothing: no decision, no session.",
    "explain": "Add `candidates`, `probabilities` and `contributions` to the answer.",
}


def describe_api(result: Schema, *args: Any, **kwargs: Any) -> Schema:
    """Add the routing call and the error envelope; a postprocessing hook of drf-spectacular."""
    components = result["components"]
    schemas = components["schemas"]
    schemas |= request_schemas()
    schemas |= {"Error": ERROR, "Candidate": CANDIDATE, "Routed": routed(schemas["Decision"])}
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = {
        "Error": {
            "description": "What went wrong and how to mend it.",
            "content": {"application/json": {"schema": reference("Error")}},
        }
    }
    result["paths"]["/api/v1/route"] = {"post": operation()}
    result["paths"] = dict(sorted(result["paths"].items()))
    for path in result["paths"].values():
        for call in path.values():
            call["responses"]["default"] = {"$ref": "#/components/responses/Error"}
    return result


def reference(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def request_schemas() -> dict[str, Schema]:
    """Return the body of a routing request as the Struct that reads it declares it."""
    _, schemas = msgspec.json.schema_components(
        [RouteBody], ref_template="#/components/schemas/{name}"
    )
    # Checked after decoding, for messages that list what is allowed; hence not in the Struct.
    body = schemas["RouteBody"]["properties"]
    body["mode"] |= {"anyOf": [{"type": "string", "enum": list(CLIENT_MODES)}, NULL]}
    items = {"type": "string", "enum": list(MODALITIES)}
    body["required_modalities"] |= {"anyOf": [{"type": "array", "items": items}, NULL]}
    schemas["Task"]["properties"]["task_type"]["enum"] = list(TASK_TYPES)
    return schemas


def routed(stored: Schema) -> Schema:
    """Return the answer's schema: a stored decision in the moment in which it is given."""
    properties = {
        name: schema for name, schema in stored["properties"].items() if name != "created_at"
    }
    properties["id"] = {"type": ["string", "null"], "description": "Null for a dry run."}
    properties["fallback_models"] = {
        "type": "array",
        "items": MODEL,
        "description": "Whom to ask when the call fails, best first.",
    }
    properties["estimate"] = {
        "oneOf": [reference("Estimate"), NULL],
        "description": "Of a ladder what is expected of the whole."
        " Null for a model without figures.",
    }
    properties["ladder"] = LADDER
    properties["budget"] = {
        "oneOf": [reference("Spent"), NULL],
        "description": "The spent budget that rules; null when none is spent.",
    }
    properties["candidates"] = {"type": "array", "items": reference("Candidate")}
    properties["probabilities"] = PROBABILITIES
    properties["contributions"] = CONTRIBUTIONS
    return record(
        properties, "A decision.", optional=("candidates", "probabilities", "contributions")
    )


def operation() -> Schema:
    """Return ``POST /api/v1/route``."""
    return {
        "operationId": "route",
        "summary": "Choose a model for a request",
        "description": "Answers with the model to call, the reason, and what was expected of it."
        " Scope: `route:write`.",
        "parameters": [
            {
                "in": "query",
                "name": name,
                "schema": {"type": "boolean", "default": False},
                "description": description,
            }
            for name, description in FLAGS.items()
        ],
        "tags": ["route"],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference("RouteBody")}},
        },
        "security": [{"apiKey": []}],
        "responses": {
            "200": {
                "description": "",
                "content": {"application/json": {"schema": reference("Routed")}},
            },
            "402": {
                "description": "A budget is spent that refuses then. `Retry-After` has the seconds"
                " until it begins anew, `error.details` the budget, its limit and its spend.",
                "headers": {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}},
                "content": {"application/json": {"schema": reference("Error")}},
            },
        },
    }

"""The words in which OpenAI-compatible servers say what went wrong, and their classes. Data."""

from tollway_schemas.failure import FailureClass

#: What a status means where the body says nothing better.
STATUS_CLASSES: dict[int, FailureClass] = {
    400: FailureClass.INVALID_REQUEST,
    401: FailureClass.AUTH,
    402: FailureClass.QUOTA_EXHAUSTED,
    403: FailureClass.AUTH,
    404: FailureClass.MODEL_NOT_FOUND,
    405: FailureClass.MODEL_NOT_FOUND,
    # A proxy's credentials.
    407: FailureClass.AUTH,
    408: FailureClass.TRANSIENT,
    409: FailureClass.TRANSIENT,
    410: FailureClass.MODEL_NOT_FOUND,
    413: FailureClass.INVALID_REQUEST,
    415: FailureClass.INVALID_REQUEST,
    422: FailureClass.INVALID_REQUEST,
    # Groq: a step before this one failed.
    424: FailureClass.TRANSIENT,
    425: FailureClass.TRANSIENT,
    429: FailureClass.RATE_LIMIT,
    # Groq: flex capacity exceeded.
    498: FailureClass.OVERLOADED,
    499: FailureClass.TRANSIENT,
    500: FailureClass.TRANSIENT,
    502: FailureClass.TRANSIENT,
    503: FailureClass.OVERLOADED,
    504: FailureClass.TRANSIENT,
    # Cloudflare: the server behind it did not answer in time.
    524: FailureClass.TRANSIENT,
    529: FailureClass.OVERLOADED,
}

#: Codes and types that say more than the status. Vague ones (`invalid_request_error`,
#: `server_error`, `rate_limit_exceeded`) are not here: there the status decides.
WORD_CLASSES: dict[str, FailureClass] = {
    "context_length_exceeded": FailureClass.CONTEXT_LENGTH,
    "exceed_context_size_error": FailureClass.CONTEXT_LENGTH,
    "max_tokens_exceeded": FailureClass.CONTEXT_LENGTH,
    "token_limit_exceeded": FailureClass.CONTEXT_LENGTH,
    "string_too_long": FailureClass.CONTEXT_LENGTH,
    "content_policy_violation": FailureClass.CONTENT_POLICY,
    "content_filter": FailureClass.CONTENT_POLICY,
    "responsibleaipolicyviolation": FailureClass.CONTENT_POLICY,
    "invalid_prompt": FailureClass.CONTENT_POLICY,
    "image_content_policy_violation": FailureClass.CONTENT_POLICY,
    "bio_policy": FailureClass.CONTENT_POLICY,
    "refusal": FailureClass.CONTENT_POLICY,
    "insufficient_quota": FailureClass.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": FailureClass.QUOTA_EXHAUSTED,
    "credit_balance_exhausted": FailureClass.QUOTA_EXHAUSTED,
    "organization_spend_limit_exceeded": FailureClass.QUOTA_EXHAUSTED,
    "project_spend_limit_exceeded": FailureClass.QUOTA_EXHAUSTED,
    "organization_usage_limit_exceeded": FailureClass.QUOTA_EXHAUSTED,
    "insufficient_balance": FailureClass.QUOTA_EXHAUSTED,
    "payment_required": FailureClass.QUOTA_EXHAUSTED,
    "budget_exceeded": FailureClass.QUOTA_EXHAUSTED,
    "billing_not_active": FailureClass.QUOTA_EXHAUSTED,
    "invalid_api_key": FailureClass.AUTH,
    "api_key_invalid": FailureClass.AUTH,
    "authentication_error": FailureClass.AUTH,
    "authentication": FailureClass.AUTH,
    "permission_denied": FailureClass.AUTH,
    "model_not_found": FailureClass.MODEL_NOT_FOUND,
    "model_decommissioned": FailureClass.MODEL_NOT_FOUND,
    "deploymentnotfound": FailureClass.MODEL_NOT_FOUND,
    "server_is_overloaded": FailureClass.OVERLOADED,
    "service_unavailable_error": FailureClass.OVERLOADED,
    "engine_overloaded": FailureClass.OVERLOADED,
    "engine_overloaded_error": FailureClass.OVERLOADED,
    "overloaded_error": FailureClass.OVERLOADED,
    "provider_overloaded": FailureClass.OVERLOADED,
    "capacity_exceeded": FailureClass.OVERLOADED,
    "resource_unavailable": FailureClass.OVERLOADED,
    "provider_unavailable": FailureClass.TRANSIENT,
    # Groq: the model, not the job, broke the form it was held to.
    "json_validate_failed": FailureClass.TRANSIENT,
    "tool_use_failed": FailureClass.TRANSIENT,
}

CONTEXT_LENGTH_PHRASES = (
    "this model's maximum context length is",
    "model's maximum context limit",
    "exceed context limit",
    "prompt is too long",
    "is longer than the model's context length",
    "input tokens exceed the configured limit",
    "`inputs` tokens + `max_new_tokens` must be",
    "exceeds the available context size",
    "exceeds the maximum number of tokens allowed",
    "while limit is",
    "maximum input length is",
    "string too long. expected a string with maximum length",
    "exceeds the model's maximum context length",
    "exceeds maximum context length",
    "exceeds the context length",
    "longer than the maximum model length",
    "model maximum context length",
    # Mistral
    "too large for model with",
    # LM Studio
    "context the overflows",
    "loaded with context length of only",
)

CONTENT_POLICY_PHRASES = (
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "content_filter_policy",
    "the response was filtered due to the prompt triggering azure openai's content management",
    "your request was rejected as a result of our safety system",
    "the model produced invalid content",
    "flagged as potentially violating",
    "requires moderation",
)

KEY_PHRASES = ("api key not valid",)

#: A reasoning model that had used up its limit before it said anything.
TRUNCATED_PHRASES = ("could not finish the message because max_tokens or model output limit",)

#: A server that speaks https was asked in plain http: the address is wrong, not the request.
PLAIN_HTTP_PHRASES = (
    "plain http request was sent to https port",
    "sent an http request to an https server",
)

#: Statuses that say nothing of a request where a web page comes with them: no API sent it.
PAGE_STATUSES = frozenset({400, 406, 411, 415, 422, 501})

OVERLOADED_PHRASES = ("resource unavailable", "resource_unavailable", "overloaded")

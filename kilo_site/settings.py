"""All settings, read from the environment.

Two ways to run, one code path: without DATABASE_URL the site is *embedded* (SQLite, tasks in
process, nothing else needed); with DATABASE_URL it is in *production* and asks for its secrets,
its hosts and Redis. docs/operating.md lists every variable.
"""

from pathlib import Path
from typing import Any

import django_stubs_ext
import structlog
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from kilo_site import env

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var")))

DATABASE_URL = env.text("DATABASE_URL")
REDIS_URL = env.text("REDIS_URL")
PRODUCTION = bool(DATABASE_URL)
DEBUG = env.flag("DEBUG", default=False)

SECRET_KEY = env.secret("SECRET_KEY", production=PRODUCTION, kept_in=VAR_DIR)
# Separate from SECRET_KEY, so that one can be rotated without revoking every API key.
API_KEY_SECRET = env.secret("API_KEY_SECRET", production=PRODUCTION, kept_in=VAR_DIR)

ALLOWED_HOSTS = env.listing("ALLOWED_HOSTS", "" if PRODUCTION else "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.listing("CSRF_TRUSTED_ORIGINS")
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS is not set. Name the hosts this site answers for.")
if PRODUCTION and not REDIS_URL:
    raise ImproperlyConfigured(
        "REDIS_URL is not set. Production keeps sessions and its event stream in Redis,"
        " e.g. REDIS_URL=redis://localhost:6379/0."
    )

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "kilo_site",
    "usage",
    "routing",
    "leaderboard",
    "teams",
]

MIDDLEWARE = [
    "kilo_site.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "kilo_site.urls"
WSGI_APPLICATION = "kilo_site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "kilo_site.context.shell",
            ],
        },
    }
]

SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": VAR_DIR / "kilo.sqlite3",
    "OPTIONS": {
        # Writers queue for up to 20 s instead of failing, readers never wait (WAL).
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
}
DATABASES = {"default": env.database(DATABASE_URL) if PRODUCTION else SQLITE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "teams.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "kilo_site.plotly_assets.PlotlyFinder",
]
# Files that `collectstatic` has gathered are served compressed and for ever; without them
# (embedded, tests) the same files come straight from their folders.
COLLECTED = (STATIC_ROOT / "staticfiles.json").exists()
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = not COLLECTED
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
HTTPS = env.flag("HTTPS", default=PRODUCTION)
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
if env.flag("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# The largest request body the API reads. A route request carries a whole conversation.
API_MAX_BODY_BYTES = env.number("API_MAX_BODY_BYTES", 4 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = API_MAX_BODY_BYTES

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["routing.api.authentication.RememberedKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["teams.authentication.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["lib.parsers.JsonParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "kilo_site.errors.handle_api_exception",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Routing API",
    "DESCRIPTION": "Routing decisions, usage, policies and the public leaderboard.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "OAS_VERSION": "3.1.0",
    # Two sets of values that are both called `mode`.
    "ENUM_NAME_OVERRIDES": {
        "ModeEnum": "routing.engine.inputs.MODES",
        "PolicyModeEnum": "routing.models.Mode.choices",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "kilo_site.openapi.describe_api",
    ],
}

# Where operators' feeds may lie on this machine. Embedded, the operator owns the machine.
FEED_DIRS = env.listing("FEED_DIRS", "" if PRODUCTION else "/")
FEED_WORK_DIR = VAR_DIR / "feeds"
FEED_CHECK_SECONDS = env.number("FEED_CHECK_SECONDS", 60)
# A reading whose worker gave no sign of life for so long is taken up by another.
INGESTION_STALE_SECONDS = env.number("INGESTION_STALE_SECONDS", 300)

# Alerts of budgets leave by mail and by webhook. Embedded, the operator owns the network too.
MAIL = env.mail(env.text("EMAIL_URL"))
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = MAIL.backend, MAIL.host, MAIL.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAIL.user, MAIL.password
EMAIL_USE_TLS, EMAIL_USE_SSL = MAIL.starts_tls, MAIL.begins_with_tls
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "router@localhost")
WEBHOOK_PRIVATE_ADDRESSES = env.flag("WEBHOOK_PRIVATE_ADDRESSES", default=not PRODUCTION)
# Where links in mails and webhooks lead.
SITE_URL = env.text(
    "SITE_URL",
    f"https://{ALLOWED_HOSTS[0]}" if PRODUCTION else f"http://localhost:{env.number('PORT', 8000)}",
).rstrip("/")

CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_ALWAYS_EAGER = not REDIS_URL
CELERY_TASK_EAGER_PROPAGATES = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# However long Redis is away.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BEAT_SCHEDULE = {
    # What is left undone is done the next time, so these do not pile up behind an absent worker.
    "record-decisions": {
        "task": "routing.tasks.record_decisions",
        "schedule": 1.0,
        "options": {"expires": 10},
    },
    "record-usage": {
        "task": "usage.tasks.record_events",
        "schedule": 1.0,
        "options": {"expires": 10},
    },
    "roll-up": {"task": "usage.tasks.roll_up", "schedule": 5.0, "options": {"expires": 5}},
    "watch-streams": {"task": "usage.tasks.watch_streams", "schedule": 60.0},
    "reconcile-budgets": {
        "task": "usage.tasks.reconcile_budgets",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "deliver-notices": {
        "task": "usage.tasks.deliver_notices",
        "schedule": 20.0,
        "options": {"expires": 20},
    },
    "keep-record-in-bounds": {"task": "usage.tasks.keep_record_in_bounds", "schedule": 3600.0},
    "start-due-ingestions": {
        "task": "leaderboard.tasks.start_due_ingestions",
        "schedule": float(FEED_CHECK_SECONDS),
        "options": {"expires": FEED_CHECK_SECONDS},
    },
}

# Clear requests go by the evidence; unclear ones go to this capable paid model, and savings are
# counted against the baseline. Every project's policy can name others.
BALANCED_MODEL = env.text("BALANCED_MODEL", "openai/gpt-5.4")
BASELINE_MODEL = env.text("BASELINE_MODEL", "anthropic/claude-opus-4.8")
# Publish routing tables after every ingestion that changed something.
AUTO_PUBLISH = env.flag("AUTO_PUBLISH", default=True)
# So long decisions and usage events are kept, row by row. Sums are kept for ever.
USAGE_RETENTION_DAYS = env.number("USAGE_RETENTION_DAYS", 400)
if USAGE_RETENTION_DAYS < 62:
    raise ImproperlyConfigured(
        "USAGE_RETENTION_DAYS must be at least 62: events are taken 30 days late, and whole months"
        " are dropped."
    )
# So many entries of each kind wait in Redis while the database is away; what comes then is answered
# with an error, and nothing is trimmed.
STREAM_ROOM = env.number("STREAM_ROOM", 1_000_000)
SESSION_TTL_SECONDS = env.number("SESSION_TTL_SECONDS", 24 * 3600)

LOG_FIELDS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
# JSON for machines in production, plain lines for the person at an embedded site's terminal.
LOG_RENDERERS: list[Any] = (
    [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if PRODUCTION
    else [
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    ]
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *LOG_RENDERERS,
            ],
            "foreign_pre_chain": LOG_FIELDS,
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "WARNING")},
}
structlog.configure(
    processors=[*LOG_FIELDS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)

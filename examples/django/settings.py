"""As few settings as Django starts with."""

SECRET_KEY = "for an example only"  # noqa: S105 - it protects nothing
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "rollout_sdk.middleware.django.RolloutMiddleware",  # last: it sees who was authenticated
]
ROLLOUT_CLIENT = "flags.client"
ROLLOUT_CONTEXT = "flags.visitor"

"""`gunicorn --threads 8 wsgi:application`, with ROLLOUT_SERVER and ROLLOUT_TOKEN set."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_wsgi_application()
